// Quotients without the unit that divides.
#pragma once

#include <halide14/Halide.h>

#include <vector>

namespace kiln {

/// a / b in f32 by multiplications, rounded but for fewer than one case in 200 that is a unit in the last place off. b is positive and no
/// denormal, and less than 2^100 unless it is infinite; the target has multiply-adds.
Halide::Expr quotient_without_divider(const Halide::Expr &a, const Halide::Expr &b);

/// addend + a / b, or addend - a / b if `negative`, of such a and b: 1 / b is off by a unit in the last place at most, and the rest rounded once.
Halide::Expr sum_without_divider(const Halide::Expr &addend, const Halide::Expr &a, const Halide::Expr &b, bool negative);

/// Whether a call is one of these.
bool is_quotient(const Halide::Internal::Call &call);
/// The arithmetic of such a call with these arguments, when Halide has simplified the rest: it would take common factors out of a remainder. An
/// estimate of 1 / b may be `coarse`: off by up to 1.5 * 2^-12 of it, or else by 2^-14.
Halide::Expr written_out(const Halide::Internal::Call &call, const std::vector<Halide::Expr> &arguments, bool coarse);

}  // namespace kiln
