#include "compiler/ir/text_values.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace kiln::text {

namespace {

constexpr int64_t kMaxAxes = 64;           ///< of a comprehension
constexpr int64_t kMaxElements = int64_t(1) << 48;

}  // namespace

bool ValueParser::parse_attributes(Node &node) {
    std::set<std::string> seen;
    while (!in_.accept('}')) {
        if (!seen.empty() && !in_.expect(',')) return false;
        SourceRange range;
        std::optional<std::string> name = in_.word(&range);
        if (!name || !in_.expect('=')) return false;
        if (!seen.insert(*name).second) in_.error(DiagnosticCode::ir_duplicate, range, {"attribute", *name});
        bool found = false, good = true;
        std::visit(
            [&](auto &attributes) {
                attributes.visit([&](std::string_view member_name, auto &member) {
                    if (member_name != *name) return;
                    found = true;
                    good = parse_member(member);
                });
            },
            node.attrs);
        if (!found) in_.error(DiagnosticCode::ir_unknown_attribute, range, {info(node.op).name, *name});
        if (!found || !good) return false;
    }
    return true;
}

bool ValueParser::parse_member(std::vector<AffineIndex> &member) {
    return parse_list(member, [&]() -> std::optional<AffineIndex> {
        AffineIndex index;
        if (!parse_affine(index)) return std::nullopt;
        return index;
    });
}

bool ValueParser::parse_member(std::vector<BodyValue> &member) {
    return parse_list(member, [&]() -> std::optional<BodyValue> {
        BodyValue value;
        if (!parse_body_value(value)) return std::nullopt;
        return value;
    });
}

bool ValueParser::parse_affine(AffineIndex &index) {
    for (bool first = true;; first = false) {
        int64_t sign = 1;
        if (in_.accept('-')) sign = -1;
        else if (!first && !in_.expect('+')) return false;
        if (!parse_affine_term(index, sign)) return false;
        if (in_.peek() != '+' && in_.peek() != '-') return true;
    }
}

bool ValueParser::parse_affine_term(AffineIndex &index, int64_t factor) {
    if (std::isdigit(static_cast<unsigned char>(in_.peek()))) {
        int64_t number = 0;
        if (!assign(number, in_.integer())) return false;
        if (__builtin_mul_overflow(factor, number, &factor)) return in_.expected("an index of 64 bits"), false;
        if (!in_.accept('*')) {
            if (__builtin_add_overflow(index.offset, factor, &index.offset)) return in_.expected("an index of 64 bits"), false;
            return true;
        }
    }
    SourceRange range;
    std::optional<std::string> name = in_.word(&range);
    if (!name) return false;
    int64_t number = 0;
    const bool known = name->size() > 1 && name->size() < 8 && ((*name)[0] == 'i' || (*name)[0] == 'v') &&
                       std::all_of(name->begin() + 1, name->end(), [](unsigned char c) { return std::isdigit(c); });
    if (known) number = std::stoll(name->substr(1));
    if (!known || number >= kMaxAxes * 64 || ((*name)[0] == 'i' && number >= kMaxAxes) || ((*name)[0] == 'v' && (factor != 1 || index.gather >= 0)))
        return in_.error(DiagnosticCode::ir_expected, range, {"an axis such as `i0` or one value of the body such as `v3`", fmt::format("`{}`", *name)}), false;
    if ((*name)[0] == 'v') {
        index.gather = number;
        return true;
    }
    if (index.coefficients.size() <= size_t(number)) index.coefficients.resize(size_t(number) + 1, 0);
    int64_t &coefficient = index.coefficients[size_t(number)];
    if (__builtin_add_overflow(coefficient, factor, &coefficient)) return in_.expected("an index of 64 bits"), false;
    return true;
}

bool ValueParser::parse_body_value(BodyValue &value) {
    if (!assign(value.dtype, dtype())) return false;
    SourceRange range;
    std::optional<std::string> what = in_.word(&range);
    if (!what) return false;
    if (*what == "read") {
        value.kind = BodyValue::Kind::read;
        return assign(value.operand, in_.integer()) && parse_member(value.at);
    }
    if (*what == "index") {
        value.kind = BodyValue::Kind::index;
        return parse_member(value.at);
    }
    if (*what == "constant") {
        value.kind = BodyValue::Kind::constant;
        return assign(value.value, in_.real());
    }
    value.kind = BodyValue::Kind::apply;
    if (!find_op(*what, value.op)) return in_.error(DiagnosticCode::ir_unknown_op, range, {*what}), false;
    while (std::isdigit(static_cast<unsigned char>(in_.peek())))
        if (!assign(value.operands.emplace_back(), in_.integer())) return false;
    return true;
}

std::optional<bool> ValueParser::boolean() {
    if (in_.accept_word("true")) return true;
    if (in_.accept_word("false")) return false;
    in_.expected("`true` or `false`");
    return std::nullopt;
}

std::optional<DType> ValueParser::dtype() {
    SourceRange range;
    std::optional<std::string> name = in_.word(&range);
    if (!name) return std::nullopt;
    std::optional<DType> found = dtype_from_name(*name);
    if (!found) in_.error(DiagnosticCode::ir_expected, range, {"an element type", fmt::format("`{}`", *name)});
    return found;
}

std::optional<Type> ValueParser::type() {
    const size_t begin = in_.position();
    Type result;
    if (!assign(result.dtype, dtype()) || !parse_list(result.shape, [&] { return in_.integer(); })) return std::nullopt;
    int64_t count = 1;
    for (int64_t extent : result.shape) {
        if (extent < 0) return in_.error(DiagnosticCode::ir_expected, in_.range(begin), {"an extent", std::to_string(extent)}), std::nullopt;
        if (__builtin_mul_overflow(count, std::max<int64_t>(extent, 1), &count) || count > kMaxElements)
            return in_.error(DiagnosticCode::ir_too_large, in_.range(begin), {"a type", to_string(result)}), std::nullopt;
    }
    return result;
}

bool ValueParser::parse_loc(Loc &loc) {
    if (!in_.accept('@')) return true;
    const size_t begin = in_.position();
    int64_t line = 0, column = 0;
    if (!assign(loc.file, in_.word_or_string()) || !in_.expect(':') || !assign(line, in_.integer()) || !in_.expect(':') ||
        !assign(column, in_.integer()))
        return false;
    if (line < 0 || line > INT32_MAX || column < 0 || column > INT32_MAX)
        return in_.error(DiagnosticCode::ir_too_large, in_.range(begin), {"a position", fmt::format("{}:{}", line, column)}), false;
    loc.line = int(line);
    loc.column = int(column);
    return true;
}

const std::vector<std::string> &ValueParser::op_names() {
    static const std::vector<std::string> names{
#define OP(name, arity, attributes, traits) #name,
#include "compiler/ir/ops.def"
#undef OP
    };
    return names;
}

bool ValueParser::find_op(const std::string &name, Op &op) {
    static const std::map<std::string, Op> ops = [] {
        std::map<std::string, Op> result;
        for (size_t i = 0; i < op_names().size(); ++i) result[op_names()[i]] = Op(i);
        return result;
    }();
    auto found = ops.find(name);
    if (found == ops.end()) return false;
    op = found->second;
    return true;
}

}  // namespace kiln::text
