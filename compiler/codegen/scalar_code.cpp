#include "compiler/codegen/scalar_code.h"

#include "compiler/support/check.h"

#include <cmath>

namespace kiln {

namespace {

class ScalarCode {
public:
    ScalarCode(ModuleBuilder &module, const Graph &graph) : m_(module), ir_(module.ir), graph_(graph) {}

    std::vector<llvm::Value *> run(const std::function<llvm::Value *(const Node &)> &read) {
        for (const Node &node : graph_.nodes) {
            m_.set_location(node.loc);
            values_.push_back(node.op == Op::input ? read(node) : value_of(node));
        }
        m_.set_location({});
        return std::move(values_);
    }

private:
    llvm::Value *operand(const Node &node, size_t i) { return values_[size_t(node.operands[i].index)]; }
    DType operand_dtype(const Node &node, size_t i) { return graph_[node.operands[i]].type.dtype; }

    llvm::Value *number(double value, DType dtype) {
        llvm::Type *type = m_.type_of(dtype);
        if (is_float(dtype)) return llvm::ConstantFP::get(type, value);
        if (dtype == DType::boolean) return ir_.getInt1(value != 0);
        return llvm::ConstantInt::get(type, uint64_t(int64_t(value)), dtype != DType::u8);
    }

    llvm::Value *intrinsic(llvm::Intrinsic::ID id, llvm::Value *x) { return ir_.CreateUnaryIntrinsic(id, x); }
    llvm::Value *libm(const char *name, std::vector<llvm::Value *> arguments) {
        return ir_.CreateCall(m_.math(name, arguments[0]->getType(), int(arguments.size())), arguments);
    }

    /// x on floats through libm; integers have no such function in the table.
    llvm::Value *transcendental(const Node &node, const char *name) {
        KILN_CHECK(is_float(node.type.dtype), "{} of {}", name, name_of(node.type.dtype));
        return libm(name, {operand(node, 0)});
    }

    llvm::Value *rounding(const Node &node, llvm::Intrinsic::ID id) {
        return is_float(node.type.dtype) ? intrinsic(id, operand(node, 0)) : operand(node, 0);
    }

    llvm::Value *less(llvm::Value *a, llvm::Value *b, DType dtype) {
        if (is_float(dtype)) return ir_.CreateFCmpOLT(a, b);
        return dtype == DType::u8 || dtype == DType::boolean ? ir_.CreateICmpULT(a, b) : ir_.CreateICmpSLT(a, b);
    }

    llvm::Value *less_equal(llvm::Value *a, llvm::Value *b, DType dtype) {
        return is_float(dtype) ? ir_.CreateFCmpOLE(a, b) : ir_.CreateNot(less(b, a, dtype));
    }

    llvm::Value *equal(llvm::Value *a, llvm::Value *b, DType dtype) {
        return is_float(dtype) ? ir_.CreateFCmpOEQ(a, b) : ir_.CreateICmpEQ(a, b);
    }

    /// Floor quotient and remainder with the divisor's sign.
    std::pair<llvm::Value *, llvm::Value *> integer_division(llvm::Value *a, llvm::Value *b, DType dtype) {
        llvm::Type *type = a->getType();
        llvm::Value *zero = llvm::ConstantInt::get(type, 0), *one = llvm::ConstantInt::get(type, 1);
        llvm::Value *by_zero = ir_.CreateICmpEQ(b, zero);
        if (dtype == DType::u8) {
            llvm::Value *divisor = ir_.CreateSelect(by_zero, one, b);
            return {ir_.CreateSelect(by_zero, zero, ir_.CreateUDiv(a, divisor)), ir_.CreateSelect(by_zero, zero, ir_.CreateURem(a, divisor))};
        }
        // The smallest integer divided by -1 traps, so -1 is taken apart.
        llvm::Value *by_minus_one = ir_.CreateICmpEQ(b, llvm::ConstantInt::getSigned(type, -1));
        llvm::Value *divisor = ir_.CreateSelect(ir_.CreateOr(by_zero, by_minus_one), one, b);
        llvm::Value *quotient = ir_.CreateSDiv(a, divisor), *remainder = ir_.CreateSRem(a, divisor);
        llvm::Value *adjust = ir_.CreateAnd(ir_.CreateICmpNE(remainder, zero), ir_.CreateICmpSLT(ir_.CreateXor(remainder, divisor), zero));
        quotient = ir_.CreateSelect(adjust, ir_.CreateSub(quotient, one), quotient);
        remainder = ir_.CreateSelect(adjust, ir_.CreateAdd(remainder, divisor), remainder);
        quotient = ir_.CreateSelect(by_minus_one, ir_.CreateNeg(a), quotient);
        return {ir_.CreateSelect(by_zero, zero, quotient), ir_.CreateSelect(ir_.CreateOr(by_zero, by_minus_one), zero, remainder)};
    }

    /// a - b floor(a / b); in f64 for f32 too, because the subtraction cancels.
    llvm::Value *modulo(llvm::Value *a, llvm::Value *b, DType dtype) {
        a = m_.to_f64(a, dtype);
        b = m_.to_f64(b, dtype);
        return m_.from_f64(ir_.CreateFSub(a, ir_.CreateFMul(b, intrinsic(llvm::Intrinsic::floor, ir_.CreateFDiv(a, b)))), dtype);
    }

    llvm::Value *convert(llvm::Value *x, DType from, DType to) {
        if (from == to) return x;
        if (is_float(from)) {
            if (to == DType::f64) return ir_.CreateFPExt(x, ir_.getDoubleTy());
            return m_.from_f64(x, to);
        }
        if (to == DType::boolean) return ir_.CreateICmpNE(x, llvm::ConstantInt::get(x->getType(), 0));
        bool is_signed = from == DType::i32 || from == DType::i64;
        if (is_float(to)) return is_signed ? ir_.CreateSIToFP(x, m_.type_of(to)) : ir_.CreateUIToFP(x, m_.type_of(to));
        return ir_.CreateIntCast(x, m_.type_of(to), is_signed);
    }

    /// Philox4x32-10 as RandomAttrs describes it, for the element 0 of a rank-0 tensor.
    llvm::Value *random_uniform(const Node &node) {
        const auto &random = attrs<RandomAttrs>(node);
        auto *i32 = ir_.getInt32Ty();
        auto low = [&](llvm::Value *x) { return ir_.CreateTrunc(x, i32); };
        auto high = [&](llvm::Value *x) { return ir_.CreateTrunc(ir_.CreateLShr(x, 32), i32); };
        llvm::Value *seed = operand(node, 0), *counter = operand(node, 1);
        llvm::Value *key[2] = {low(seed), high(seed)};
        llvm::Value *word[4] = {ir_.getInt32(0), ir_.getInt32(uint32_t(random.stream)), low(counter), high(counter)};
        for (int round = 0; round < 10; round++) {
            auto product = [&](uint32_t factor, llvm::Value *x) { return ir_.CreateMul(ir_.CreateZExt(x, ir_.getInt64Ty()), ir_.getInt64(factor)); };
            llvm::Value *p0 = product(0xD2511F53u, word[0]), *p1 = product(0xCD9E8D57u, word[2]);
            llvm::Value *next[4] = {ir_.CreateXor(ir_.CreateXor(high(p1), word[1]), key[0]), low(p1),
                                    ir_.CreateXor(ir_.CreateXor(high(p0), word[3]), key[1]), low(p0)};
            std::copy(next, next + 4, word);
            key[0] = ir_.CreateAdd(key[0], ir_.getInt32(0x9E3779B9u));
            key[1] = ir_.CreateAdd(key[1], ir_.getInt32(0xBB67AE85u));
        }
        if (random.to == DType::f32)
            return ir_.CreateFMul(ir_.CreateUIToFP(ir_.CreateLShr(word[0], 8), ir_.getFloatTy()), llvm::ConstantFP::get(ir_.getFloatTy(), std::ldexp(1.0, -24)));
        KILN_CHECK(random.to == DType::f64, "random {}", name_of(random.to));
        llvm::Value *bits = ir_.CreateOr(ir_.CreateShl(ir_.CreateZExt(word[0], ir_.getInt64Ty()), 32), ir_.CreateZExt(word[1], ir_.getInt64Ty()));
        return ir_.CreateFMul(ir_.CreateUIToFP(ir_.CreateLShr(bits, 11), ir_.getDoubleTy()), llvm::ConstantFP::get(ir_.getDoubleTy(), std::ldexp(1.0, -53)));
    }

    llvm::Value *sign(const Node &node) {
        DType dtype = node.type.dtype;
        llvm::Value *x = operand(node, 0), *zero = number(0, dtype), *one = number(1, dtype);
        if (dtype == DType::u8 || dtype == DType::boolean) return ir_.CreateSelect(less(zero, x, dtype), one, zero);
        return ir_.CreateSelect(less(zero, x, dtype), one, ir_.CreateSelect(less(x, zero, dtype), number(-1, dtype), zero));
    }

    llvm::Value *value_of(const Node &node) {
        KILN_CHECK(node.type.rank() == 0, "{} of type {} among scalars", info(node.op).name, to_string(node.type));
        DType dtype = node.type.dtype;
        bool is_real = is_float(dtype);
        auto a = [&] { return operand(node, 0); };
        auto b = [&] { return operand(node, 1); };
        switch (node.op) {
        case Op::input: break;
        case Op::constant: return number(attrs<ConstantAttrs>(node).values.at(0), dtype);
        case Op::random_uniform: return random_uniform(node);

        case Op::negate: return is_real ? ir_.CreateFNeg(a()) : ir_.CreateNeg(a());
        case Op::absolute:
            if (is_real) return intrinsic(llvm::Intrinsic::fabs, a());
            if (dtype == DType::u8 || dtype == DType::boolean) return a();
            return ir_.CreateSelect(less(a(), number(0, dtype), dtype), ir_.CreateNeg(a()), a());
        case Op::sign: return sign(node);
        case Op::exp: return transcendental(node, "exp");
        case Op::log: return transcendental(node, "log");
        case Op::log1p: return transcendental(node, "log1p");
        case Op::sqrt: return intrinsic(llvm::Intrinsic::sqrt, a());
        case Op::sin: return transcendental(node, "sin");
        case Op::cos: return transcendental(node, "cos");
        case Op::tanh: return transcendental(node, "tanh");
        case Op::erf: return transcendental(node, "erf");
        case Op::floor: return rounding(node, llvm::Intrinsic::floor);
        case Op::ceil: return rounding(node, llvm::Intrinsic::ceil);
        case Op::round: return rounding(node, llvm::Intrinsic::nearbyint);
        case Op::logical_not: return ir_.CreateNot(a());
        case Op::is_finite: {
            if (!is_float(operand_dtype(node, 0))) return ir_.getTrue();
            return ir_.CreateFCmpOLT(intrinsic(llvm::Intrinsic::fabs, a()), llvm::ConstantFP::getInfinity(a()->getType()));
        }
        case Op::cast: return convert(a(), operand_dtype(node, 0), dtype);

        case Op::add: return is_real ? ir_.CreateFAdd(a(), b()) : ir_.CreateAdd(a(), b());
        case Op::subtract: return is_real ? ir_.CreateFSub(a(), b()) : ir_.CreateSub(a(), b());
        case Op::multiply: return is_real ? ir_.CreateFMul(a(), b()) : ir_.CreateMul(a(), b());
        case Op::divide: return is_real ? ir_.CreateFDiv(a(), b()) : integer_division(a(), b(), dtype).first;
        case Op::modulo:
            if (!is_real) return integer_division(a(), b(), dtype).second;
            return modulo(a(), b(), dtype);
        case Op::power: return libm("pow", {a(), b()});
        case Op::minimum: return ir_.CreateSelect(less_equal(a(), b(), dtype), a(), b());
        case Op::maximum: return ir_.CreateSelect(less_equal(b(), a(), dtype), a(), b());
        case Op::equal: return equal(a(), b(), operand_dtype(node, 0));
        case Op::not_equal: return ir_.CreateNot(equal(a(), b(), operand_dtype(node, 0)));
        case Op::less: return less(a(), b(), operand_dtype(node, 0));
        case Op::less_equal: return less_equal(a(), b(), operand_dtype(node, 0));
        case Op::logical_and: return ir_.CreateAnd(a(), b());
        case Op::logical_or: return ir_.CreateOr(a(), b());
        case Op::select: return ir_.CreateSelect(a(), b(), operand(node, 2));

        // Of a single element these change nothing.
        case Op::reshape:
        case Op::broadcast:
        case Op::transpose:
        case Op::slice:
        case Op::pad:
        case Op::reverse:
        case Op::reduce_sum:
        case Op::reduce_product:
        case Op::reduce_max:
        case Op::reduce_min:
        case Op::stop_gradient: return a();

        case Op::iota:
        case Op::concat:
        case Op::argmax:
        case Op::matmul:
        case Op::conv2d:
        case Op::conv2d_input_gradient:
        case Op::conv2d_weight_gradient:
        case Op::max_pool2d:
        case Op::max_pool2d_index:
        case Op::max_pool2d_gradient:
        case Op::window_pick2d:
        case Op::window_sum2d:
        case Op::warp:
        case Op::gather_rows:
        case Op::scatter_add_rows:
        case Op::set_rows:
        case Op::first_occurrence:
        case Op::comprehension: break;
        }
        KILN_UNREACHABLE("{} among scalars", info(node.op).name);
    }

    ModuleBuilder &m_;
    llvm::IRBuilder<> &ir_;
    const Graph &graph_;
    std::vector<llvm::Value *> values_;
};

}  // namespace

std::vector<llvm::Value *> emit_scalars(ModuleBuilder &module, const Graph &graph, const std::function<llvm::Value *(const Node &)> &read) {
    return ScalarCode(module, graph).run(read);
}

}  // namespace kiln
