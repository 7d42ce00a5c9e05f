#include "compiler/kernels/quotient.h"

namespace kiln {

using namespace Halide;

namespace {

const char *const kQuotient = "quotient", *const kPlusQuotient = "plus_quotient", *const kMinusQuotient = "minus_quotient";

/// a / b by multiplications, from an estimate of 1 / b. Of an infinite b, which an overflow gave, b times 1 / b is no number: b is limited.
class Quotient {
public:
    Quotient(Expr a, Expr b, bool coarse) : a_(std::move(a)), b_(std::move(b)), coarse_(coarse) {}

    /// The quotient, corrected by its remainder, which a multiply-add gives exactly (Markstein: "Computation of elementary functions on the
    /// IBM RISC System/6000 processor", 1990). A coarse estimate takes a step of Newton's for the correction.
    Expr corrected() const {
        const Expr first = variable("quotient.first"), remainder = subtract(a(), multiply(b(), first));
        Expr result = add(multiply(coarse_ ? add(multiply(estimate(), error()), estimate()) : estimate(), remainder), first);
        return with_estimate(Internal::Let::make("quotient.first", multiply(a(), estimate()), result));
    }

    /// addend + a / b, or addend - a / b, rounded once: of 1 / b = e / (1 - d), with the estimate e and its error d = 1 - b e, as many terms of
    /// e + e d + e d^2 as digits need.
    Expr added_to(const Expr &addend, bool negative) const {
        const Expr d = variable("quotient.error"), inverse = add(multiply(coarse_ ? add(multiply(d, d), d) : d, estimate()), estimate());
        const Expr product = multiply(a(), inverse);
        return with_estimate(Internal::Let::make("quotient.error", error(), negative ? subtract(addend, product) : add(addend, product)));
    }

private:
    Expr variable(const char *name) const { return Internal::Variable::make(a_.type(), name); }
    Expr constant(double value) const { return Internal::make_const(a_.type(), value); }
    static Expr multiply(const Expr &x, const Expr &y) { return Internal::Mul::make(x, y); }
    static Expr add(const Expr &x, const Expr &y) { return Internal::Add::make(x, y); }
    static Expr subtract(const Expr &x, const Expr &y) { return Internal::Sub::make(x, y); }
    Expr a() const { return variable("quotient.a"); }
    Expr b() const { return variable("quotient.b"); }
    Expr estimate() const { return variable("quotient.estimate"); }
    Expr error() const { return subtract(constant(1), multiply(b(), estimate())); }
    Expr with_estimate(Expr result) const {
        result = Internal::Let::make("quotient.estimate", Internal::Call::make(a_.type(), "fast_inverse_f32", {b()}, Internal::Call::PureExtern), result);
        result = Internal::Let::make("quotient.b", Internal::Min::make(b_, constant(0x1p100)), result);
        return Internal::Let::make("quotient.a", a_, result);
    }

    Expr a_, b_;
    bool coarse_;
};

}  // namespace

Expr quotient_without_divider(const Expr &a, const Expr &b) { return Internal::Call::make(a.type(), kQuotient, {a, b}, Internal::Call::PureExtern); }

Expr sum_without_divider(const Expr &addend, const Expr &a, const Expr &b, bool negative) {
    return Internal::Call::make(a.type(), negative ? kMinusQuotient : kPlusQuotient, {a, b, addend}, Internal::Call::PureExtern);
}

bool is_quotient(const Internal::Call &call) { return call.name == kQuotient || call.name == kPlusQuotient || call.name == kMinusQuotient; }

Expr written_out(const Internal::Call &call, const std::vector<Expr> &arguments, bool coarse) {
    const Quotient quotient(arguments[0], arguments[1], coarse);
    return call.name == kQuotient ? quotient.corrected() : quotient.added_to(arguments[2], call.name == kMinusQuotient);
}

}  // namespace kiln
