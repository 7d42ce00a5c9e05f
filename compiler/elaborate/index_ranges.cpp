// The ranges of the indices of a statement, and whether every read stays inside its tensor. A range comes from, in this order: the
// declared type of a result, a tensor read at the index alone, a bound in `where`, and the largest range for which the remaining
// reads stay inside.
#include "compiler/elaborate/index_notation.h"

#include "compiler/elaborate/elaborator.h"
#include "compiler/ops/affine.h"

#include <fmt/format.h>

#include <cctype>

namespace kiln {

namespace {

int64_t floor_quotient(int64_t a, int64_t b) { return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0); }

/// The one index that a subscript is, or -1.
int plain_index(const IndexedAccess &access, size_t d) {
    const IndexValue &at = access.at[d];
    bool plain = !access.gather[d].valid() && at.offset == 0 && at.coefficients.size() == 1 && at.coefficients.begin()->second == 1;
    return plain ? at.coefficients.begin()->first : -1;
}

const Shape &shape_of(const IndexedAccess &access) { return type_of(access.tensor).shape; }

/// Calls f(nest, access, d) for each subscript of each tensor.
template <typename F> void each_subscript(const Nest &root, F &&f) {
    root.each([&](const Nest &nest) {
        for (const auto &[node, access] : nest.reads)
            if (!access.inner)
                for (size_t d = 0; d < access.at.size(); ++d) f(nest, access, d);
    });
}

/// Guards of outer nests hold inside, too, as far as they speak of the same indices.
void hand_down(Nest &nest) {
    const std::set<int> own_and_outer = nest.mentioned();
    for (auto &inner : nest.inner) {
        const std::set<int> known = inner->mentioned();
        for (const IndexGuard &guard : nest.guards) {
            bool inside = !guard.value.coefficients.empty();
            for (const auto &[index, c] : guard.value.coefficients) inside = inside && known.count(index);
            if (inside) inner->guards.push_back(guard);
        }
        hand_down(*inner);
    }
}

AffineIndex affine(const IndexValue &value, size_t count) {
    AffineIndex index = constant_index(count, value.offset);
    for (const auto &[var, c] : value.coefficients) index.coefficients[size_t(var)] = c;
    return index;
}

}  // namespace

bool Elaborator::find_ellipsis(IndexedStatement &statement) {
    std::optional<Shape> leading;
    SourceRange place;
    bool ok = true;
    statement.root.each([&](const Nest &nest) {
        for (const auto &[node, access] : nest.reads) {
            if (access.inner || access.ellipsis == 0) continue;
            const Shape shape(shape_of(access).begin(), shape_of(access).begin() + long(access.ellipsis));
            if (leading && *leading != shape && ok) {
                report(DiagnosticCode::ellipsis_differs, access.range, {to_string(shape), to_string(*leading)}).labels.push_back({place, "there"});
                ok = false;
            }
            if (!leading) leading = shape, place = access.range;
        }
    });
    if (ok && leading && !statement.has_ellipsis) {
        report(DiagnosticCode::ellipsis_differs, statement.name_range, {"nothing", to_string(*leading)}).labels.push_back({place, "there"});
        ok = false;
    }
    if (!leading && statement.has_ellipsis) {
        const auto earlier = op_->definitions.find(statement.name);
        place = statement.name_range;
        if (earlier != op_->definitions.end() && earlier->second.value.context) {
            const Shape &shape = type_of(earlier->second.value).shape;
            leading = Shape(shape.begin(), shape.begin() + long(earlier->second.leading));
        } else {
            leading = op_->leading;
        }
    }
    if (!leading) return ok;
    for (int64_t extent : *leading) {
        statement.ellipsis.push_back(int(statement.vars.size()));
        statement.vars.push_back({"..", place, extent, place});
    }
    return ok;
}

bool Elaborator::find_ranges(IndexedStatement &statement) {
    if (!find_ellipsis(statement)) return false;
    hand_down(statement.root);
    auto set = [&](int index, int64_t extent, SourceRange place) {
        IndexVar &var = statement.vars[size_t(index)];
        var.extent = extent;
        var.extent_place = place;
    };

    // What is known of the tensor that is defined.
    std::set<int> declared;
    auto earlier = op_->definitions.find(statement.name);
    auto type = op_->declared.find(statement.name);
    if (earlier != op_->definitions.end() && earlier->second.value.context) {
        const Type &known = type_of(earlier->second.value);
        if (size_t(known.rank()) != earlier->second.leading + statement.axes.size() || earlier->second.leading != statement.ellipsis.size()) {
            report(DiagnosticCode::index_rank, statement.name_range, {statement.name, std::to_string(statement.axes.size()), describe(Value(earlier->second.value))})
                .labels.push_back({earlier->second.range, "defined here"});
            return false;
        }
        for (size_t i = 0; i < statement.axes.size(); ++i) {
            set(statement.axes[i], known.shape[earlier->second.leading + i], earlier->second.range);
            declared.insert(statement.axes[i]);
        }
    } else if (type != op_->declared.end() && type->second->has_dims) {
        std::vector<const ast::Dim *> dims;
        bool open = false;
        for (const ast::Dim &dim : type->second->dims) {
            if (dim.ellipsis) open = true;
            else dims.push_back(&dim);
        }
        if (dims.size() != statement.axes.size() || (statement.has_ellipsis && !open)) {
            report(DiagnosticCode::index_rank, statement.name_range, {statement.name, std::to_string(statement.axes.size()), source_text(type->second->range)})
                .labels.push_back({type->second->range, "its type is declared here"});
            return false;
        }
        for (size_t i = 0; i < dims.size(); ++i) {
            std::optional<Value> extent = dimension(*dims[i]->value);
            if (!extent) continue;
            if (extent->poison()) return false;
            const int64_t *number = extent->get<int64_t>();
            if (!number || *number < 1) {
                report(DiagnosticCode::wrong_extent, dims[i]->range, {describe(*extent)});
                return false;
            }
            set(statement.axes[i], *number, dims[i]->range);
            declared.insert(statement.axes[i]);
        }
    }

    // Tensors read at an index alone.
    std::set<int> guarded, mixed;
    statement.root.each([&](const Nest &nest) {
        for (const IndexGuard &guard : nest.guards)
            for (const auto &[index, c] : guard.value.coefficients) guarded.insert(index);
    });
    each_subscript(statement.root, [&](const Nest &, const IndexedAccess &access, size_t d) {
        if (plain_index(access, d) >= 0) return;
        for (const auto &[index, c] : access.at[d].coefficients) mixed.insert(index);
    });
    bool ok = true;
    each_subscript(statement.root, [&](const Nest &, const IndexedAccess &access, size_t d) {
        const int index = plain_index(access, d);
        if (index < 0) return;
        const int64_t extent = shape_of(access)[access.ellipsis + d];
        IndexVar &var = statement.vars[size_t(index)];
        if (!var.extent) return set(index, extent, access.places[d]);
        if (*var.extent == extent || (declared.count(index) && (guarded.count(index) || mixed.count(index)))) return;
        report(DiagnosticCode::index_extents_differ, access.places[d], {var.name, std::to_string(extent), std::to_string(*var.extent)})
            .labels.push_back({var.extent_place, fmt::format("{} comes from here", *var.extent)});
        ok = false;
    });
    if (!ok) return false;

    // Bounds, then what the other reads leave room for.
    auto restrict_by = [&](int index, const IndexValue &value, int64_t room, SourceRange place) {
        // value + room... >= 0 with a negative coefficient of the index, all other indices known
        const int64_t c = value.coefficients.at(index);
        if (c >= 0) return false;
        int64_t rest = value.offset + room;
        for (const auto &[other, factor] : value.coefficients) {
            if (other == index) continue;
            const IndexVar &var = statement.vars[size_t(other)];
            if (!var.extent) return false;
            // The read must stay inside for every position of the others; a guard leaves some.
            rest += room == 0 ? std::max<int64_t>(0, factor * (*var.extent - 1)) : std::min<int64_t>(0, factor * (*var.extent - 1));
        }
        const int64_t extent = std::max<int64_t>(1, floor_quotient(rest, -c) + 1);
        IndexVar &var = statement.vars[size_t(index)];
        if (!var.extent || extent < *var.extent) set(index, extent, place);
        return true;
    };
    // A guard of a reduction within leaves out terms of that one: it is no bound of an index that goes on without them.
    std::map<int, const Nest *> reduced_by;
    statement.root.each([&](const Nest &nest) {
        for (int index : nest.indices) reduced_by[index] = &nest;
    });
    auto is_bound_of = [&](const IndexGuard &guard, const Nest &nest, int index) {
        auto owner = reduced_by.find(index);
        return guard.value.coefficients.count(index) > 0 && (owner == reduced_by.end() || owner->second == &nest);
    };
    for (bool bounds_only : {true, false})
        for (size_t round = 0; round <= statement.vars.size(); ++round) {
            std::set<int> open;
            for (size_t i = 0; i < statement.vars.size(); ++i)
                if (!statement.vars[i].extent) open.insert(int(i));
            if (open.empty()) break;
            for (int index : open) {
                statement.root.each([&](const Nest &nest) {
                    for (const IndexGuard &guard : nest.guards)
                        if (is_bound_of(guard, nest, index)) restrict_by(index, guard.value, 0, guard.range);
                });
                if (bounds_only || statement.vars[size_t(index)].extent) continue;
                each_subscript(statement.root, [&](const Nest &, const IndexedAccess &access, size_t d) {
                    const IndexValue &at = access.at[d];
                    if (access.gather[d].valid() || !at.coefficients.count(index)) return;
                    const int64_t extent = shape_of(access)[access.ellipsis + d];
                    // extent - 1 - at >= 0, and at >= 0
                    IndexValue below = add(IndexValue{}, at, -1);
                    if (at.coefficients.at(index) > 0 && extent > 1) restrict_by(index, below, extent - 1, access.places[d]);
                    else if (at.coefficients.at(index) > 0) set(index, 1, access.places[d]);
                    else {
                        IndexValue shifted = at;
                        shifted.offset -= 1;
                        restrict_by(index, shifted, 1, access.places[d]);
                    }
                });
            }
        }
    for (const IndexVar &var : statement.vars) {
        if (var.extent) continue;
        const bool number = !var.name.empty() && (std::isdigit(static_cast<unsigned char>(var.name[0])) || var.name[0] == '-');
        report(DiagnosticCode::index_unbound, var.range, {var.name})
            .notes.push_back(number ? "a number stands for a dimension of a declared result, or of a tensor that another statement defines"
                                    : fmt::format("read a tensor at `{0}` alone, or bound it: `where {0} < n`", var.name));
        ok = false;
    }
    return ok && check_reads(statement);
}

bool Elaborator::check_reads(const IndexedStatement &statement) {
    const size_t count = statement.vars.size();
    std::vector<int64_t> space;
    for (const IndexVar &var : statement.vars) space.push_back(*var.extent);
    bool ok = true;
    each_subscript(statement.root, [&](const Nest &nest, const IndexedAccess &access, size_t d) {
        if (access.gather[d].valid()) return;
        std::vector<AffineIndex> guards;
        for (const IndexGuard &guard : nest.guards) guards.push_back(affine(guard.value, count));
        const size_t dimension = access.ellipsis + d;
        const Interval range = bounds(affine(access.at[d], count), space, guards);
        if (range.low > range.high || range.inside(shape_of(access)[dimension])) return;
        Diagnostic &diagnostic =
            report(DiagnosticCode::index_leaves_tensor, access.places[d],
                   {source_text(access.range), source_text(access.places[d]), std::to_string(range.low), std::to_string(range.high), std::to_string(dimension),
                    describe(Value(access.tensor)), std::to_string(shape_of(access)[dimension])});
        for (const auto &[index, c] : access.at[d].coefficients) {
            const IndexVar &var = statement.vars[size_t(index)];
            diagnostic.labels.push_back({var.extent_place, fmt::format("`{}` runs from 0 to {}", var.name, *var.extent - 1)});
        }
        ok = false;
    });
    return ok;
}

}  // namespace kiln
