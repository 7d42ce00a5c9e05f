// Trains a whole experiment with the reference interpreter, for comparison with its executable.
//
// usage: interpret-training MODULE.graph FOLDER STEPS SEED
// MODULE.graph is what `kiln emit grad` prints. Writes random data for STEPS batches into FOLDER as the IDX files that the
// module's splits name, runs one epoch of each phase over them in file order as runtime/src/train does, and prints each storage as
// `path value value ..`, each global as `global:name value`.
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "compiler/ops/philox.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

using namespace kiln;

namespace {

class Training {
public:
    Training(const Module &module, std::string folder, int64_t steps, int64_t seed)
        : module_(module), folder_(std::move(folder)), steps_(steps) {
        for (const char *name : {"progress", "phase", "phase_step", "epoch", "rate", "loss"}) scalars_[name] = 0;
        scalars_["seed"] = double(seed);
        scalars_["steps_per_epoch"] = scalars_["phase_steps"] = double(steps);
        for (const Hyper &hyper : module.hypers) scalars_[hyper.name] = hyper.default_value;
        for (const Global &global : module.globals) scalars_[global.name] = global.initial_value;
        for (const Storage &s : module.storages) arenas_[s.arena].resize(size_t(module.arena_elements(s.arena)));
        arenas_["gradient"].resize(arenas_["param"].size());
    }

    void run() {
        write_data();
        execute("init");
        for (size_t phase = 0; phase < std::max<size_t>(module_.phases.size(), 1); ++phase) run_epoch(phase);
    }

    void print() const {
        for (const Storage &s : module_.storages) {
            std::printf("%s", s.path.c_str());
            for (int64_t i = 0; i < s.type.elements(); ++i) std::printf(" %.17g", arenas_.at(s.arena)[size_t(s.offset + i)]);
            std::printf("\n");
        }
        for (const Global &global : module_.globals) std::printf("global:%s %.17g\n", global.name.c_str(), scalars_.at(global.name));
    }

private:
    void run_epoch(size_t phase) {
        double epoch_loss = 0;
        auto run_graph = [&](const char *name) { execute(module_.graph_of_phase(name, phase)); };
        scalars_["phase"] = scalars_["epoch"] = double(phase);
        std::fill(arenas_["gradient"].begin(), arenas_["gradient"].end(), 0);
        for (int64_t step = 0; step < steps_; ++step) {
            batch_ = step;
            scalars_["step"] = double(int64_t(phase) * steps_ + step + 1);
            scalars_["phase_step"] = double(step);
            scalars_["progress"] = double(step) / double(steps_);
            run_graph("rules.step");
            run_graph("augment");
            run_graph("train");
            augmented_.clear();
            epoch_loss += scalars_["loss"] / double(steps_);
            run_graph("update");
        }
        scalars_["loss"] = epoch_loss;
        run_graph("rules.epoch");
    }

    /// Normal values for numbers, uniform ones for labels.
    void write_data() {
        for (size_t c = 0; c < module_.columns.size(); ++c) {
            const Column &column = module_.columns[c];
            std::vector<double> &values = data_[column.name];
            const int64_t count = steps_ * module_.batch * column.type.elements();
            for (int64_t i = 0; i < count; ++i) {
                const double u = uniform_f64(1, 0, uint32_t(c), uint32_t(2 * i)), v = uniform_f64(1, 0, uint32_t(c), uint32_t(2 * i + 1));
                values.push_back(column.classes ? std::floor(u * double(column.classes)) : double(float(std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * M_PI * v))));
            }
            for (const std::string &file : files_of(column)) write_idx(folder_ + "/" + file, column, values);
        }
    }
    void write_idx(const std::string &path, const Column &column, const std::vector<double> &values) const {
        std::ofstream file(path, std::ios::binary);
        const bool real = column.classes == 0;
        Shape shape = column.type.shape;
        shape.insert(shape.begin(), steps_ * module_.batch);
        file << '\0' << '\0' << char(real ? 0x0d : 0x08) << char(shape.size());
        auto big_endian = [&](uint32_t word) {
            for (int shift : {24, 16, 8, 0}) file << char(word >> shift);
        };
        for (int64_t extent : shape) big_endian(uint32_t(extent));
        for (double value : values) real ? big_endian(std::bit_cast<uint32_t>(float(value))) : void(file << char(value));
        if (!file.flush()) throw std::runtime_error("cannot write " + path);
    }
    /// The column's file in every split, `train` and the others alike.
    std::vector<std::string> files_of(const Column &column) const {
        std::vector<std::string> files;
        for (const Split &split : module_.splits)
            for (const auto &[name, value] : split.arguments)
                if (name == column.name || name == column.name + "s") files.push_back(value.text);
        if (files.empty()) throw std::runtime_error("no IDX file for the input " + column.name);
        return files;
    }

    void execute(const std::string &name) {
        auto found = module_.graphs.find(name);
        if (found == module_.graphs.end()) return;
        const Graph &graph = found->second;
        const std::vector<Tensor> results = interpret(graph, [&](const Node &node) { return read(node); });
        for (size_t i = 0; i < results.size(); ++i) {
            const Result &result = graph.results[i];
            if (result.kind == ResultKind::scalar || result.kind == ResultKind::loss) scalars_[result.name] = results[i].values[0];
            if (result.kind == ResultKind::output && is_graph_of(name, "augment")) augmented_[result.name] = results[i].values;
            if (result.kind == ResultKind::store) std::copy(results[i].values.begin(), results[i].values.end(), place(result.name));
        }
    }
    Tensor read(const Node &node) {
        const auto &[kind, name] = attrs<InputAttrs>(node);
        const size_t count = size_t(node.type.elements());
        switch (kind) {
        case InputKind::scalar: return {node.type, {scalars_.at(name)}};
        case InputKind::data:
            if (auto made = augmented_.find(name); made != augmented_.end()) return {node.type, made->second};
            return {node.type, slice(data_.at(name).begin() + batch_ * int64_t(count), count)};
        case InputKind::storage:
        case InputKind::arena:
            if (name.starts_with("touched")) return {node.type, touched(name, count)};
            return {node.type, slice(place(name), count)};
        case InputKind::argument: break;
        }
        throw std::runtime_error("an argument outside a kernel: " + name);
    }
    /// 1 in rows with a gradient, of parameters that `train` only looks rows up in by an index from the data, and everywhere in others.
    std::vector<double> touched(const std::string &name, size_t count) {
        const auto begin = place("gradient" + name.substr(7));
        std::vector<double> mask(count, 1);
        for (const Storage &s : module_.storages) {
            if (s.kind != StorageKind::param || !is_only_looked_up(s.path)) continue;
            const int64_t width = s.type.elements() / s.type.shape[0];
            for (int64_t row = 0; row < s.type.shape[0]; ++row) {
                const auto first = arenas_["gradient"].begin() + s.offset + row * width;
                const bool any = std::any_of(first, first + width, [](double g) { return g != 0; });
                for (int64_t i = 0; i < width; ++i)
                    if (const int64_t at = first + i - begin; at >= 0 && at < int64_t(count)) mask[size_t(at)] = any;
            }
        }
        return mask;
    }
    bool is_only_looked_up(const std::string &path) const {
        const Graph &train = module_.graphs.at("train");
        bool looked_up = false;
        for (const Node &node : train.nodes)
            for (size_t i = 0; i < node.operands.size(); ++i) {
                const Node &operand = train[node.operands[i]];
                if (operand.op != Op::input || attrs<InputAttrs>(operand).name != path) continue;
                if (node.op != Op::gather_rows || i != 0 || reads_storage(train, node.operands[1])) return false;
                looked_up = true;
            }
        return looked_up;
    }
    static bool reads_storage(const Graph &graph, NodeId id) {
        const Node &node = graph[id];
        if (node.op == Op::input) return attrs<InputAttrs>(node).kind == InputKind::storage;
        return std::any_of(node.operands.begin(), node.operands.end(), [&](NodeId operand) { return reads_storage(graph, operand); });
    }
    static std::vector<double> slice(std::vector<double>::const_iterator begin, size_t count) { return {begin, begin + int64_t(count)}; }
    /// Where a storage, "gradient:<path>" or "arena[begin:end]" begins.
    std::vector<double>::iterator place(const std::string &name) {
        if (name.ends_with("]")) {
            const size_t bracket = name.rfind('[');
            return arenas_.at(name.substr(0, bracket)).begin() + std::stoll(name.substr(bracket + 1));
        }
        const bool gradient = name.starts_with("gradient:");
        const Storage *s = module_.find_storage(gradient ? name.substr(9) : name);
        if (!s) throw std::runtime_error("no storage " + name);
        return arenas_.at(gradient ? "gradient" : s->arena).begin() + s->offset;
    }

    const Module &module_;
    std::string folder_;
    int64_t steps_, batch_ = 0;
    std::map<std::string, double> scalars_;
    std::map<std::string, std::vector<double>> arenas_, data_;
    std::map<std::string, std::vector<double>> augmented_;  ///< columns of this step that `augment` made
};

}  // namespace

int main(int argc, char **argv) {
    if (argc != 5) return std::fputs("usage: interpret-training MODULE.graph FOLDER STEPS SEED\n", stderr), 2;
    std::ifstream stream(argv[1]);
    std::stringstream text;
    text << stream.rdbuf();
    SourceMap sources;
    Diagnostics diagnostics;
    const Module module = parse_module(sources.add(argv[1], text.str()), diagnostics);
    if (diagnostics.has_errors()) return std::fprintf(stderr, "%s is no module\n", argv[1]), 1;
    try {
        Training training(module, argv[2], std::atoll(argv[3]), std::atoll(argv[4]));
        training.run();
        training.print();
    } catch (const std::exception &error) {
        return std::fprintf(stderr, "%s: %s\n", argv[1], error.what()), 1;
    }
}
