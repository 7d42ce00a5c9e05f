// Rows of a table by index. Indices are clamped into the table: a bad one is reported where data enters, never read past the end.
#include "compiler/kernels/schedule.h"

namespace kiln {

using namespace Halide;

Expr lower_gather_rows(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const size_t index_rank = l.shape(node.operands[1]).size();
    Coordinates which(at.begin(), at.begin() + long(index_rank));
    Coordinates where{clamp(l.value(node.operands[1], which), 0, index_expr(l.shape(node.operands[0])[0] - 1))};
    where.insert(where.end(), at.begin() + long(index_rank), at.end());
    return l.value(node.operands[0], where);
}

Expr lower_scatter_add_rows(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Func result = l.storage_of(id, [&] {
        const Shape &index_shape = l.shape(node.operands[1]);
        std::vector<Var> axes = l.declare_vars(id);
        Region region{{0, 1}};  // an index of rank 0 is one update
        for (int64_t extent : reversed(index_shape)) region.emplace_back(0, int(extent));
        RDom r(region, l.name(id, "r"));
        Coordinates which;
        for (size_t i = index_shape.size(); i-- > 0;) which.push_back(r[int(i) + 1]);
        Coordinates from = which;
        Coordinates to{clamp(l.stored_value(node.operands[1], which), 0, index_expr(attrs<RowsAttrs>(node).rows - 1))};
        for (size_t axis = 1; axis < axes.size(); axis++) from.push_back(axes[axis]), to.push_back(axes[axis]);
        Func sum(l.name(id));
        sum(reversed(axes)) = Internal::make_zero(storage_type(node.type.dtype));
        sum(reversed(to)) += l.value(node.operands[0], from);
        schedule_scatter(l, sum, axes, l.shape(id));
        return sum;
    });
    return call(result, at);
}

}  // namespace kiln
