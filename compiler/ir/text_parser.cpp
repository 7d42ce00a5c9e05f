// The parser of the text form: a cursor over characters and one function per production. An error skips to the next line,
// so that one run reports several; hostile text ends in diagnostics.
#include "compiler/ir/text.h"
#include "compiler/ir/text_values.h"
#include "kiln/names.h"

#include <map>

namespace kiln {

namespace {

constexpr int kMaxNesting = 32;  ///< of lists in reader arguments

class Parser : text::ValueParser {
public:
    Parser(const SourceFile &file, Diagnostics &diagnostics) : ValueParser(file, diagnostics) {}

    Module parse(size_t bytes) {
        if (bytes > kMaxFileBytes) {
            in_.error_here(DiagnosticCode::ir_too_large, {"the file", fmt::format("it has more than {} MB", kMaxFileBytes >> 20)});
            return {};
        }
        while (!in_.at_end() && !in_.gave_up()) {
            if (in_.accept_word("module")) {
                if (has_header_) in_.error_here(DiagnosticCode::ir_duplicate, {"the module", "module"});
                has_header_ = true;
                parse_header();
            } else if (in_.accept_word("graph")) {
                parse_graph();
            } else {
                in_.expected("`graph` or `module`");
                in_.skip_line();
            }
        }
        return std::move(module_);
    }

private:
    // ---- module header ----
    void parse_header() {
        module_.name = in_.string().value_or("");
        if (!in_.expect('{')) return in_.skip_line();
        while (!in_.gave_up() && !in_.accept('}')) {
            if (in_.at_end()) return in_.expected("`}`");
            size_t start = in_.position();
            if (!parse_declaration()) in_.recover(start);
        }
    }

    bool parse_declaration() {
        if (in_.accept_word("doc")) return assign(module_.doc, in_.string());
        if (in_.accept_word("source")) return assign(module_.source_name, in_.string());
        if (in_.accept_word("float")) return assign(module_.float_type, dtype());
        if (in_.accept_word("batch")) return assign(module_.batch, in_.integer());
        if (in_.accept_word("shuffle")) return assign(module_.shuffle, boolean());
        if (in_.accept_word("best")) return assign(module_.best_metric, in_.string());
        if (in_.accept_word("hyper")) return parse_hyper();
        if (in_.accept_word("column")) return parse_column();
        if (in_.accept_word("storage")) return parse_storage();
        if (in_.accept_word("split")) return parse_split();
        if (in_.accept_word("pseudo_label")) return assign(module_.pseudo_label, in_.string());
        if (in_.accept_word("phase")) return parse_phase();
        if (in_.accept_word("scan")) return parse_scan();
        if (in_.accept_word("global")) {
            Global global;
            if (!assign(global.name, in_.string()) || !in_.expect('=') || !assign(global.initial_value, in_.real())) return false;
            module_.globals.push_back(global);
            return true;
        }
        if (in_.accept_word("metric")) {
            Metric metric;
            if (!assign(metric.name, in_.string())) return false;
            metric.higher_is_better = in_.accept_word("higher");
            if (!metric.higher_is_better && !in_.accept_word("lower")) return in_.expected("`higher` or `lower`"), false;
            module_.metrics.push_back(metric);
            return true;
        }
        in_.expected("a declaration of the module");
        return false;
    }

    bool parse_hyper() {
        Hyper hyper;
        if (!assign(hyper.name, in_.string()) || !assign(hyper.kind, enumerator<ScalarKind>()) || !in_.expect('=') ||
            !assign(hyper.default_value, in_.real()))
            return false;
        if (in_.accept_word("doc") && !assign(hyper.doc, in_.string())) return false;
        if (!parse_loc(hyper.loc)) return false;
        module_.hypers.push_back(hyper);
        return true;
    }

    bool parse_column() {
        Column column;
        if (!assign(column.name, in_.string()) || !in_.expect(':') || !assign(column.type, type())) return false;
        if (in_.accept_word("classes") && !assign(column.classes, in_.integer())) return false;
        if (in_.accept_word("capacity") && !assign(column.capacity, in_.string())) return false;
        if (in_.accept_word("vocabulary") && !parse_reader_value(column.vocabulary.emplace(), 0)) return false;
        if (!parse_loc(column.loc)) return false;
        module_.columns.push_back(column);
        return true;
    }

    bool parse_storage() {
        Storage storage;
        if (!assign(storage.kind, enumerator<StorageKind>()) || !assign(storage.path, in_.string()) || !in_.expect(':') ||
            !assign(storage.type, type()) || !in_.expect_word("arena") || !assign(storage.arena, in_.string()) ||
            !in_.expect_word("offset") || !assign(storage.offset, in_.integer()) || !parse_loc(storage.loc))
            return false;
        module_.storages.push_back(storage);
        return true;
    }

    bool parse_split() {
        Split split;
        if (!assign(split.name, in_.string()) || !in_.expect('=') || !parse_reader_call(split.reader, split.arguments, 0)) return false;
        if (!parse_loc(split.loc)) return false;
        module_.splits.push_back(std::move(split));
        return true;
    }

    bool parse_reader_call(std::string &reader, std::vector<std::pair<std::string, ReaderValue>> &arguments, int depth) {
        if (!assign(reader, in_.word_or_string()) || !in_.expect('(')) return false;
        while (!in_.accept(')')) {
            if (!arguments.empty() && !in_.expect(',')) return false;
            auto &[name, value] = arguments.emplace_back();
            if (!assign(name, in_.word_or_string()) || !in_.expect('=') || !parse_reader_value(value, depth)) return false;
        }
        return true;
    }

    bool parse_reader_value(ReaderValue &value, int depth) {
        using Kind = ReaderValue::Kind;
        if (depth > kMaxNesting) return in_.error_here(DiagnosticCode::ir_too_large, {"a value of a reader", "its nesting"}), false;
        if (in_.accept('[')) {
            value.kind = Kind::list;
            while (!in_.accept(']')) {
                if (!value.list.empty() && !in_.expect(',')) return false;
                if (!parse_reader_value(value.list.emplace_back(), depth + 1)) return false;
            }
            return true;
        }
        if (in_.peek() == '"') {
            value.kind = Kind::string;
            return assign(value.text, in_.string());
        }
        if (in_.accept_word("path")) {
            value.kind = Kind::path;
            return assign(value.text, in_.string());
        }
        if (in_.accept_word("call")) {
            value.kind = Kind::call;
            return parse_reader_call(value.text, value.arguments, depth + 1);
        }
        if (in_.accept_word("true")) {
            value.kind = Kind::boolean;
            value.boolean = true;
            return true;
        }
        if (in_.accept_word("false")) {
            value.kind = Kind::boolean;
            return true;
        }
        return assign(value.number, in_.real());
    }

    bool parse_scan() {
        Scan scan;
        scan.training.name = "train";
        if (!assign(scan.on, in_.string()) || !assign(scan.metric, in_.string()) || !in_.expect_word("higher") || !assign(scan.higher_is_better, boolean()) ||
            !in_.expect_word("seeds") || !assign(scan.seeds, in_.integer()) || !in_.expect_word("epochs") || !assign(scan.epochs, in_.integer()) ||
            !in_.expect_word("training") || !parse_reader_call(scan.training.reader, scan.training.arguments, 0) || !in_.expect_word("source") ||
            !assign(scan.source, in_.string()))
            return false;
        while (in_.accept_word("try")) {
            Scan::Setting &setting = scan.settings.emplace_back();
            if (!assign(setting.name, in_.string()) || !in_.expect_word("bytes") || !assign(setting.begin, in_.integer()) || !assign(setting.end, in_.integer())) return false;
            if (setting.begin < 0 || setting.end < setting.begin || setting.end > int64_t(scan.source.size()))
                return in_.error_here(DiagnosticCode::ir_expected, {"a range of the source", std::to_string(setting.end)}), false;
            setting.regularizes = in_.accept_word("regularizes");
            setting.constant = in_.accept_word("constant");
            if (setting.constant && !assign(setting.built, in_.integer())) return false;
            if (!in_.expect('[')) return false;
            while (!in_.accept(']')) {
                if (!setting.values.empty() && !in_.expect(',')) return false;
                Scan::Value &value = setting.values.emplace_back();
                if (setting.constant ? !assign(value.define, in_.string()) : !assign(value.number, in_.real())) return false;
                if (!assign(value.text, in_.string())) return false;
            }
            if (setting.built < -1 || setting.built >= int64_t(setting.values.size()))
                return in_.error_here(DiagnosticCode::ir_expected, {"one of the values", std::to_string(setting.built)}), false;
        }
        module_.scan = std::move(scan);
        return true;
    }

    bool parse_mix_part(MixPart &part) {
        if (!assign(part.rows, in_.integer()) || !assign(part.split, in_.string())) return false;
        part.pseudo = in_.accept_word("pseudo");
        if (!part.pseudo) return true;
        part.soft = in_.accept_word("soft");
        if (!part.soft && !in_.expect_word("hard")) return false;
        part.every_epoch = in_.accept_word("every_epoch");
        if (!part.every_epoch && !in_.expect_word("once")) return false;
        if (!in_.expect_word("above")) return false;
        return in_.peek() == '"' ? assign(part.above_hyper, in_.string()) : assign(part.above, in_.real());
    }

    bool parse_phase() {
        Phase phase;
        if (!assign(phase.name, in_.string()) || !in_.expect_word("epochs") || !assign(phase.epochs, in_.integer())) return false;
        if (in_.accept_word("frozen")) {
            if (!in_.expect('[')) return false;
            while (!in_.accept(']')) {
                if (!phase.frozen.empty() && !in_.expect(',')) return false;
                if (!assign(phase.frozen.emplace_back(), in_.string())) return false;
            }
        }
        if (in_.accept_word("patience") && !assign(phase.patience, in_.integer())) return false;
        phase.restore_best = in_.accept_word("restore_best");
        if (in_.accept_word("on") && !assign(phase.split, in_.string())) return false;
        if (in_.accept_word("mix")) {
            if (!in_.expect('[')) return false;
            while (!in_.accept(']')) {
                if (!phase.mix.empty() && !in_.expect(',')) return false;
                if (!parse_mix_part(phase.mix.emplace_back())) return false;
            }
        }
        module_.phases.push_back(phase);
        return true;
    }

    // ---- graphs ----
    void parse_graph() {
        Graph graph;
        std::optional<std::string> name = in_.word_or_string();
        if (!name || !in_.expect('{')) return in_.skip_line();
        graph.name = *name;
        names_.clear();
        while (!in_.gave_up() && !in_.accept('}')) {
            if (in_.at_end()) {
                in_.expected("`}`");
                break;
            }
            size_t start = in_.position();
            bool good = in_.accept_word("result") ? parse_result(graph) : parse_node(graph);
            if (!good) in_.recover(start);
        }
        if (!module_.graphs.emplace(*name, std::move(graph)).second)
            in_.error_here(DiagnosticCode::ir_duplicate, {"graph", *name});
    }

    bool parse_node(Graph &graph) {
        Node node;
        std::string name;
        SourceRange name_range;
        if (!parse_value_name(name, name_range)) return false;
        // Defined even if the rest of the line is wrong, so that its users are not reported as well.
        NodeId id{graph.size()};
        if (!names_.emplace(name, id).second) in_.error(DiagnosticCode::ir_redefined_value, name_range, {name});
        bool good = parse_node_rest(graph, node);
        graph.nodes.push_back(std::move(node));
        return good;
    }

    bool parse_node_rest(const Graph &graph, Node &node) {
        if (!in_.expect('=')) return false;
        SourceRange op_range;
        std::optional<std::string> op = in_.word(&op_range);
        if (!op) return false;
        if (!find_op(*op, node.op)) {
            Diagnostic &diagnostic = in_.error(DiagnosticCode::ir_unknown_op, op_range, {*op});
            std::string near = nearest_name(*op, op_names());
            if (!near.empty()) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", near));
            return false;
        }
        node.attrs = info(node.op).default_attrs;
        if (in_.peek() == '%') {
            do {
                NodeId operand;
                if (!parse_operand(graph.size(), operand)) return false;
                node.operands.push_back(operand);
            } while (in_.accept(','));
        }
        if (in_.accept('{') && !parse_attributes(node)) return false;
        if (ComprehensionAttrs *comprehension = std::get_if<ComprehensionAttrs>(&node.attrs)) complete(*comprehension);
        if (!in_.expect(':') || !assign(node.type, type())) return false;
        if (in_.accept('#')) {
            const size_t begin = in_.position();
            int64_t group = 0;
            if (!assign(group, in_.integer())) return false;
            if (group < 0 || group > INT32_MAX) return in_.error(DiagnosticCode::ir_too_large, in_.range(begin), {"a group", std::to_string(group)}), false;
            node.group = int(group);
        }
        if (in_.accept_word("in") && !assign(node.scope, in_.string())) return false;
        return parse_loc(node.loc);
    }

    /// Affine indices have a coefficient for every axis; the text names those that are not 0.
    static void complete(ComprehensionAttrs &comprehension) {
        auto extend = [&](std::vector<AffineIndex> &list) {
            for (AffineIndex &index : list)
                if (index.coefficients.size() < comprehension.space.size()) index.coefficients.resize(comprehension.space.size(), 0);
        };
        extend(comprehension.target);
        extend(comprehension.guards);
        for (BodyValue &value : comprehension.body) extend(value.at);
    }

    bool parse_result(Graph &graph) {
        Result result;
        if (!assign(result.kind, enumerator<ResultKind>())) return false;
        if (in_.peek() == '"' && !assign(result.name, in_.string())) return false;
        if (!parse_operand(graph.size(), result.value)) return false;
        graph.results.push_back(std::move(result));
        return true;
    }

    bool parse_value_name(std::string &name, SourceRange &range) {
        if (!in_.expect('%')) return false;
        return assign(name, in_.label(&range));
    }

    bool parse_operand(int defined, NodeId &operand) {
        std::string name;
        SourceRange range;
        if (!parse_value_name(name, range)) return false;
        auto found = names_.find(name);
        if (found == names_.end() || found->second.index >= defined) {
            in_.error(DiagnosticCode::ir_undefined_value, range, {name});
            return false;
        }
        operand = found->second;
        return true;
    }

    Module module_;
    bool has_header_ = false;
    std::map<std::string, NodeId> names_;  ///< values of the graph being read
};

}  // namespace

Module parse_module(const SourceFile &file, Diagnostics &diagnostics) { return Parser(file, diagnostics).parse(file.text.size()); }

}  // namespace kiln
