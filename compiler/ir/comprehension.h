// What a `comprehension` computes: index notation as plain data.
//
// The iteration space is a box: axis a runs over [0, space[a]). For every point of it, in row-major order, where all `guards` are
// 0 or more and the body's value `condition` is true, the last value of the body is a term. Terms of one element of the result are
// combined by `reduce`. Without `target` the first `kept` axes of the space are the axes of the result; with it, it says which
// element a term belongs to, and `shape` what the extents are (the scattered form; sums only). An element without
// terms is 0 (sum), the number nearest to minus or plus infinity (max, min) or 0 (argmax, argmin).
//
//   y[n, i] = sum(j) x[n, i + j] * k[j]
//   %2 = comprehension %0, %1 {space = [4, 30, 3], kept = 2, body = [f32 read 0[i0, i1 + i2], f32 read 1[i2], f32 multiply 0 1]} : f32[4, 30]
#pragma once

#include "compiler/ir/op.h"
#include "compiler/ir/types.h"

#include <vector>

namespace kiln {

/// offset + the sum of coefficients[a] * (position on axis a), + the value of the body with the number `gather` if that is not -1.
/// An index with a gathered part is clamped into the extent it indexes, as in gather_rows; any other is inside it by construction.
struct AffineIndex {
    std::vector<int64_t> coefficients;  ///< one for each axis of the space
    int64_t offset = 0;
    int64_t gather = -1;
    bool operator==(const AffineIndex &) const = default;
};

/// One value of the body, a number for each point of the space.
struct BodyValue {
    enum class Kind : uint8_t {
        read,      ///< the element of operand `operand` at `at`
        index,     ///< the affine index at[0] itself; i32
        constant,  ///< `value`
        apply,     ///< the elementwise op on earlier values of the body
    };
    Kind kind = Kind::constant;
    DType dtype = DType::f32;
    Op op = Op::constant;
    int64_t operand = 0;
    double value = 0;
    std::vector<AffineIndex> at{};
    std::vector<int64_t> operands{};
    bool operator==(const BodyValue &) const = default;
};

enum class Reducer : uint8_t { sum, max, min, argmax, argmin };  ///< arg..: the row-major number of the first best term among the reduced axes

struct ComprehensionAttrs {
    std::vector<int64_t> space;
    int64_t kept = 0;
    Reducer reduce = Reducer::sum;
    std::vector<AffineIndex> target;
    std::vector<int64_t> shape;          ///< of the result, if there is a target
    std::vector<AffineIndex> guards;     ///< each 0 or more; without gathered parts
    int64_t condition = -1;              ///< a boolean value of the body; -1: none
    std::vector<BodyValue> body;         ///< the last one is the term

    template <typename V> void visit(V &&v) { visit_all(*this, v); }
    template <typename V> void visit(V &&v) const { visit_all(*this, v); }

private:
    template <typename Self, typename V> static void visit_all(Self &self, V &v) {
        v("space", self.space), v("kept", self.kept), v("reduce", self.reduce), v("target", self.target), v("shape", self.shape);
        v("guards", self.guards), v("condition", self.condition), v("body", self.body);
    }
};

}  // namespace kiln
