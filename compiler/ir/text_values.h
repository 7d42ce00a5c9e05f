// What the text form has inside a line: types, attributes with their values, places. Errors are reported where they are found.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/ir/text_cursor.h"
#include "compiler/ir/text_names.h"
#include "compiler/support/diagnostic_codes.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

namespace kiln::text {

class ValueParser {
protected:
    ValueParser(const SourceFile &file, Diagnostics &diagnostics) : in_(file, diagnostics) {}

    /// The attributes of a node whose op is known, behind their `{`.
    bool parse_attributes(Node &node);
    /// An optional ` @ file:line:column`.
    bool parse_loc(Loc &loc);
    std::optional<Type> type();
    std::optional<DType> dtype();
    std::optional<bool> boolean();
    static const std::vector<std::string> &op_names();
    static bool find_op(const std::string &name, Op &op);

    template <typename Enum> std::optional<Enum> enumerator() {
        const auto &names = names_of(Enum{});
        SourceRange range;
        std::optional<std::string> name = in_.word(&range);
        if (!name) return std::nullopt;
        for (size_t i = 0; i < names.size(); ++i)
            if (*name == names[i]) return Enum(i);
        in_.error(DiagnosticCode::ir_expected, range, {fmt::format("one of {}", fmt::join(names, ", ")), fmt::format("`{}`", *name)});
        return std::nullopt;
    }

    template <typename T, typename ParseOne> bool parse_list(std::vector<T> &list, ParseOne parse_one) {
        list.clear();
        if (!in_.expect('[')) return false;
        while (!in_.accept(']')) {
            if (!list.empty() && !in_.expect(',')) return false;
            if (!assign(list.emplace_back(), parse_one())) return false;
        }
        return true;
    }

    template <typename T, typename U> static bool assign(T &target, std::optional<U> value) {
        if (value) target = std::move(*value);
        return value.has_value();
    }

    TextCursor in_;

private:
    bool parse_member(int64_t &member) { return assign(member, in_.integer()); }
    bool parse_member(bool &member) { return assign(member, boolean()); }
    bool parse_member(DType &member) { return assign(member, dtype()); }
    bool parse_member(InputKind &member) { return assign(member, enumerator<InputKind>()); }
    bool parse_member(Fill &member) { return assign(member, enumerator<Fill>()); }
    bool parse_member(double &member) { return assign(member, in_.real()); }
    bool parse_member(std::string &member) { return assign(member, in_.string()); }
    bool parse_member(Ints &member) { return parse_list(member, [&] { return in_.integer(); }); }
    bool parse_member(std::vector<double> &member) { return parse_list(member, [&] { return in_.real(); }); }
    bool parse_member(Reducer &member) { return assign(member, enumerator<Reducer>()); }
    bool parse_member(std::vector<AffineIndex> &member);
    bool parse_member(std::vector<BodyValue> &member);
    /// A sum of `i0`, `2 * i1`, `v4` and integers.
    bool parse_affine(AffineIndex &index);
    bool parse_affine_term(AffineIndex &index, int64_t factor);
    bool parse_body_value(BodyValue &value);
};

}  // namespace kiln::text
