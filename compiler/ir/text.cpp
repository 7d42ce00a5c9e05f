// The printer. What it writes, text_parser.cpp reads; a field equal to its default is not written.
#include "compiler/ir/text.h"

#include "compiler/ir/text_names.h"
#include "compiler/support/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kiln {

namespace text {

bool is_plain_word(std::string_view word) {
    if (word.empty() || !(std::isalpha(static_cast<unsigned char>(word[0])) || word[0] == '_' || word[0] == '/')) return false;
    for (char c : word)
        if (!is_word_character(c)) return false;
    return word.find("//") == std::string_view::npos;  // would begin a comment
}

const std::vector<const char *> &names_of(InputKind) {
    static const std::vector<const char *> names{"data", "storage", "arena", "scalar", "argument"};
    return names;
}
const std::vector<const char *> &names_of(Fill) {
    static const std::vector<const char *> names{"nearest", "constant", "reflect"};
    return names;
}
const std::vector<const char *> &names_of(ResultKind) {
    static const std::vector<const char *> names{"loss", "sample", "output", "store", "scalar", "value"};
    return names;
}
const std::vector<const char *> &names_of(ScalarKind) {
    static const std::vector<const char *> names{"real", "integer", "boolean"};
    return names;
}
const std::vector<const char *> &names_of(StorageKind) {
    static const std::vector<const char *> names{"param", "buffer", "state"};
    return names;
}

const std::vector<const char *> &names_of(Reducer) {
    static const std::vector<const char *> names{"sum", "max", "min", "argmax", "argmin"};
    return names;
}

}  // namespace text

namespace {

using text::name_of_enumerator;

std::string quoted(std::string_view s) {
    std::string out = "\"";
    for (char c : s) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string word(std::string_view s) { return text::is_plain_word(s) ? std::string(s) : quoted(s); }

/// Shortest decimal that parses back to the same double; `inf`, `-inf`, `nan` besides.
std::string real(double value) { return fmt::format("{}", value); }

std::string loc_suffix(const Loc &loc) {
    return loc.valid() ? fmt::format("  @ {}:{}:{}", word(loc.file), loc.line, loc.column) : "";
}

std::string value_text(int64_t value) { return std::to_string(value); }
std::string value_text(bool value) { return value ? "true" : "false"; }
std::string value_text(DType value) { return name_of(value); }
std::string value_text(InputKind value) { return name_of_enumerator(value); }
std::string value_text(Fill value) { return name_of_enumerator(value); }
std::string value_text(double value) { return real(value); }
std::string value_text(Reducer value) { return name_of_enumerator(value); }
std::string value_text(const std::string &value) { return quoted(value); }
std::string value_text(const Ints &values) { return fmt::format("[{}]", fmt::join(values, ", ")); }
std::string value_text(const std::vector<double> &values) {
    std::string out = "[";
    for (size_t i = 0; i < values.size(); ++i) out += (i ? ", " : "") + real(values[i]);
    return out + "]";
}

/// "2 * i0 + i3 - 1 + v4": i.. are axes, v.. values of the body.
std::string value_text(const AffineIndex &index) {
    std::string out;
    auto add = [&](int64_t factor, const std::string &what) {
        if (factor == 0) return;
        out += out.empty() ? (factor < 0 ? "-" : "") : (factor < 0 ? " - " : " + ");
        const std::string magnitude = std::to_string(factor < 0 ? 0 - uint64_t(factor) : uint64_t(factor));
        if (what.empty()) out += magnitude;
        else out += (magnitude == "1" ? "" : magnitude + " * ") + what;
    };
    for (size_t axis = 0; axis < index.coefficients.size(); ++axis) add(index.coefficients[axis], fmt::format("i{}", axis));
    if (index.gather >= 0) add(1, fmt::format("v{}", index.gather));
    add(index.offset, "");
    return out.empty() ? "0" : out;
}
std::string value_text(const std::vector<AffineIndex> &list) {
    std::string out = "[";
    for (size_t i = 0; i < list.size(); ++i) out += (i ? ", " : "") + value_text(list[i]);
    return out + "]";
}
std::string value_text(const std::vector<BodyValue> &body) {
    std::string out = "[";
    for (size_t i = 0; i < body.size(); ++i) {
        const BodyValue &value = body[i];
        out += fmt::format("{}{} ", i ? ", " : "", name_of(value.dtype));
        switch (value.kind) {
            case BodyValue::Kind::read: out += fmt::format("read {}{}", value.operand, value_text(value.at)); break;
            case BodyValue::Kind::index: out += "index" + value_text(value.at); break;
            case BodyValue::Kind::constant: out += "constant " + real(value.value); break;
            case BodyValue::Kind::apply: out += fmt::format("{} {}", info(value.op).name, fmt::join(value.operands, " ")); break;
        }
    }
    return out + "]";
}

/// ` {axes = [0, 1]}`, or nothing if every member has its default.
std::string attributes_text(const Node &node) {
    std::vector<std::string> members;
    std::visit(
        [&](const auto &attributes) {
            std::decay_t<decltype(attributes)> defaults;
            std::vector<std::string> default_texts;
            defaults.visit([&](std::string_view, const auto &member) { default_texts.push_back(value_text(member)); });
            size_t i = 0;
            attributes.visit([&](std::string_view name, const auto &member) {
                std::string value = value_text(member);
                if (value != default_texts[i++]) members.push_back(fmt::format("{} = {}", name, value));
            });
        },
        node.attrs);
    return members.empty() ? "" : fmt::format(" {{{}}}", fmt::join(members, ", "));
}

std::string node_text(const Graph &graph, int index, const PrintOptions &options) {
    const Node &node = graph.nodes[size_t(index)];
    std::string out = fmt::format("%{} = {}", index, info(node.op).name);
    for (size_t i = 0; i < node.operands.size(); ++i) out += fmt::format("{} %{}", i ? "," : "", node.operands[i].index);
    out += attributes_text(node) + " : " + to_string(node.type);
    if (node.group >= 0) out += fmt::format("  #{}", node.group);
    if (options.scopes && !node.scope.empty()) out += "  in " + quoted(node.scope);
    if (options.locations) out += loc_suffix(node.loc);
    return out;
}

std::string graph_text(std::string_view name, const Graph &graph, const PrintOptions &options) {
    std::string out = fmt::format("graph {} {{\n", word(name));
    for (int i = 0; i < graph.size(); ++i) out += "  " + node_text(graph, i, options) + "\n";
    for (const Result &result : graph.results) {
        out += fmt::format("  result {}", name_of_enumerator(result.kind));
        if (!result.name.empty()) out += " " + quoted(result.name);
        out += fmt::format(" %{}\n", result.value.index);
    }
    return out + "}\n";
}

std::string reader_value(const ReaderValue &value);

std::string call_text(const std::string &reader, const std::vector<std::pair<std::string, ReaderValue>> &arguments) {
    std::string out = word(reader) + "(";
    for (size_t i = 0; i < arguments.size(); ++i)
        out += fmt::format("{}{} = {}", i ? ", " : "", word(arguments[i].first), reader_value(arguments[i].second));
    return out + ")";
}

std::string reader_value(const ReaderValue &value) {
    switch (value.kind) {
        case ReaderValue::Kind::number: return real(value.number);
        case ReaderValue::Kind::boolean: return value_text(value.boolean);
        case ReaderValue::Kind::string: return quoted(value.text);
        case ReaderValue::Kind::path: return "path " + quoted(value.text);
        case ReaderValue::Kind::list: {
            std::string out = "[";
            for (size_t i = 0; i < value.list.size(); ++i) out += (i ? ", " : "") + reader_value(value.list[i]);
            return out + "]";
        }
        case ReaderValue::Kind::call: return "call " + call_text(value.text, value.arguments);
    }
    KILN_UNREACHABLE("reader value of kind {}", int(value.kind));
}

}  // namespace

std::string print(const Graph &graph, const PrintOptions &options) { return graph_text(graph.name, graph, options); }

std::string print(const Module &module, const PrintOptions &options) {
    auto loc = [&](const Loc &l) { return options.locations ? loc_suffix(l) : std::string(); };
    std::string out;
    if (!module.name.empty()) {
        out += fmt::format("module {} {{\n", quoted(module.name));
        if (!module.doc.empty()) out += fmt::format("  doc {}\n", quoted(module.doc));
        if (!module.source_name.empty()) out += fmt::format("  source {}\n", quoted(module.source_name));
        out += fmt::format("  float {}\n  batch {}\n  shuffle {}\n", name_of(module.float_type), module.batch, module.shuffle);
        for (const Hyper &hyper : module.hypers) {
            out += fmt::format("  hyper {} {} = {}", quoted(hyper.name), name_of_enumerator(hyper.kind), real(hyper.default_value));
            if (!hyper.doc.empty()) out += " doc " + quoted(hyper.doc);
            out += loc(hyper.loc) + "\n";
        }
        for (const Column &column : module.columns) {
            out += fmt::format("  column {} : {}", quoted(column.name), to_string(column.type));
            if (column.classes != 0) out += fmt::format(" classes {}", column.classes);
            if (!column.capacity.empty()) out += " capacity " + quoted(column.capacity);
            if (column.vocabulary) out += " vocabulary " + reader_value(*column.vocabulary);
            out += loc(column.loc) + "\n";
        }
        for (const Storage &storage : module.storages)
            out += fmt::format("  storage {} {} : {} arena {} offset {}{}\n", name_of_enumerator(storage.kind), quoted(storage.path),
                               to_string(storage.type), quoted(storage.arena), storage.offset, loc(storage.loc));
        for (const Global &global : module.globals)
            out += fmt::format("  global {} = {}\n", quoted(global.name), real(global.initial_value));
        for (const Split &split : module.splits) {
            out += fmt::format("  split {} = {}{}\n", quoted(split.name), call_text(split.reader, split.arguments), loc(split.loc));
        }
        if (!module.pseudo_label.empty()) out += fmt::format("  pseudo_label {}\n", quoted(module.pseudo_label));
        for (const Phase &phase : module.phases) {
            out += fmt::format("  phase {} epochs {}", quoted(phase.name), phase.epochs);
            if (!phase.frozen.empty()) {
                out += " frozen [";
                for (size_t i = 0; i < phase.frozen.size(); ++i) out += (i ? ", " : "") + quoted(phase.frozen[i]);
                out += "]";
            }
            if (phase.patience) out += fmt::format(" patience {}", phase.patience);
            if (phase.restore_best) out += " restore_best";
            if (phase.split != "train") out += " on " + quoted(phase.split);
            if (!phase.mix.empty()) {
                out += " mix [";
                for (const MixPart &part : phase.mix) {
                    out += fmt::format("{}{} {}", &part == phase.mix.data() ? "" : ", ", part.rows, quoted(part.split));
                    if (!part.pseudo) continue;
                    out += fmt::format(" pseudo {} {} above {}", part.soft ? "soft" : "hard", part.every_epoch ? "every_epoch" : "once",
                                       part.above_hyper.empty() ? real(part.above) : quoted(part.above_hyper));
                }
                out += "]";
            }
            out += "\n";
        }
        if (module.scan) {
            const Scan &scan = *module.scan;
            out += fmt::format("  scan {} {} higher {} seeds {} epochs {} training {} source {}\n", quoted(scan.on), quoted(scan.metric), scan.higher_is_better, scan.seeds,
                               scan.epochs, call_text(scan.training.reader, scan.training.arguments), quoted(scan.source));
            for (const Scan::Setting &setting : scan.settings) {
                out += fmt::format("    try {} bytes {} {}{}{} [", quoted(setting.name), setting.begin, setting.end, setting.regularizes ? " regularizes" : "",
                                   setting.constant ? fmt::format(" constant {}", setting.built) : "");
                for (size_t i = 0; i < setting.values.size(); ++i) {
                    const Scan::Value &value = setting.values[i];
                    out += fmt::format("{}{} {}", i ? ", " : "", setting.constant ? quoted(value.define) : real(value.number), quoted(value.text));
                }
                out += "]\n";
            }
        }
        for (const Metric &metric : module.metrics)
            out += fmt::format("  metric {} {}\n", quoted(metric.name), metric.higher_is_better ? "higher" : "lower");
        if (!module.best_metric.empty()) out += fmt::format("  best {}\n", quoted(module.best_metric));
        out += "}\n";
    }
    for (const auto &[name, graph] : module.graphs) {
        if (!out.empty()) out += "\n";
        out += graph_text(name, graph, options);
    }
    return out;
}

}  // namespace kiln
