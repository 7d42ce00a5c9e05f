// The buffers of the plan as one static array of halide_buffer_t; only their host pointers are set at run time.
//
// Layouts follow HalideRuntime.h:
//   halide_buffer_t    { u64 device; void *interface; u8 *host; u64 flags; u8 code, u8 bits, u16 lanes; i32 dimensions;
//                        halide_dimension_t *dim; void *padding }
//   halide_dimension_t { i32 min, extent, stride; u32 flags }
#include "compiler/codegen/module_builder.h"

#include "compiler/support/check.h"

namespace kiln {

namespace {

struct HalideType { uint8_t code, bits; };
enum : uint8_t { kSigned = 0, kUnsigned = 1, kFloat = 2 };

HalideType halide_type(DType dtype) {
    switch (dtype) {
    case DType::f32: return {kFloat, 32};
    case DType::f64: return {kFloat, 64};
    case DType::i32: return {kSigned, 32};
    case DType::i64: return {kSigned, 64};
    case DType::u8:
    case DType::boolean: return {kUnsigned, 8};
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

}  // namespace

void ModuleBuilder::make_buffers() {
    auto *i32 = ir.getInt32Ty();
    auto *dimension_type = llvm::StructType::create(context, {i32, i32, i32, i32}, "halide_dimension_t");
    auto *dimension_pointer = dimension_type->getPointerTo();
    buffer_type = llvm::StructType::create(context, {ir.getInt64Ty(), byte_pointer, byte_pointer, ir.getInt64Ty(), ir.getInt8Ty(), ir.getInt8Ty(),
                                                     ir.getInt16Ty(), i32, dimension_pointer, byte_pointer}, "halide_buffer_t");
    auto *null = llvm::ConstantPointerNull::get(byte_pointer);

    std::map<Shape, llvm::Constant *> dimensions_of;  // buffers of one shape share their dimensions
    std::vector<llvm::Constant *> rows;
    for (const Buffer &buffer : plan.buffers) {
        llvm::Constant *&dimensions = dimensions_of[buffer.type.shape];
        if (!dimensions && buffer.type.rank() == 0) dimensions = llvm::ConstantPointerNull::get(dimension_pointer);
        if (!dimensions) {
            std::vector<llvm::Constant *> innermost_first;
            int64_t stride = 1;
            for (int axis = buffer.type.rank() - 1; axis >= 0; axis--) {
                int64_t extent = buffer.type.shape[size_t(axis)];
                KILN_CHECK(extent <= INT32_MAX && stride <= INT32_MAX, "buffer {} exceeds Halide's 32-bit extents", to_string(buffer.type));
                innermost_first.push_back(llvm::ConstantStruct::get(
                    dimension_type, {ir.getInt32(0), ir.getInt32(uint32_t(extent)), ir.getInt32(uint32_t(stride)), ir.getInt32(0)}));
                stride *= extent;
            }
            auto *type = llvm::ArrayType::get(dimension_type, innermost_first.size());
            auto *global = new llvm::GlobalVariable(llvm_module, type, true, llvm::GlobalValue::PrivateLinkage,
                                                    llvm::ConstantArray::get(type, innermost_first), "dimensions");
            dimensions = llvm::ConstantExpr::getBitCast(global, dimension_pointer);
        }
        HalideType type = halide_type(buffer.type.dtype);
        rows.push_back(llvm::ConstantStruct::get(buffer_type, {ir.getInt64(0), null, null, ir.getInt64(0), ir.getInt8(type.code), ir.getInt8(type.bits),
                                                               ir.getInt16(1), ir.getInt32(uint32_t(buffer.type.rank())), dimensions, null}));
    }
    buffers_type_ = llvm::ArrayType::get(buffer_type, rows.size());
    buffers_ = new llvm::GlobalVariable(llvm_module, buffers_type_, false, llvm::GlobalValue::InternalLinkage,
                                        llvm::ConstantArray::get(buffers_type_, rows), "buffers");
    buffers_->setAlignment(llvm::Align(64));
}

llvm::Constant *ModuleBuilder::buffer(BufferId id) {
    KILN_CHECK(id.valid() && size_t(id.index) < plan.buffers.size(), "buffer {}", id.index);
    return llvm::ConstantExpr::getInBoundsGetElementPtr(buffers_type_, buffers_,
                                                        llvm::ArrayRef<llvm::Constant *>{ir.getInt64(0), ir.getInt64(uint64_t(id.index))});
}

llvm::Value *ModuleBuilder::buffer_at(llvm::Value *index) { return ir.CreateInBoundsGEP(buffers_type_, buffers_, {integer(0), index}); }

llvm::Value *ModuleBuilder::host_pointer(BufferId id) {
    return ir.CreateLoad(byte_pointer, ir.CreateStructGEP(buffer_type, buffer(id), 2), "host");
}

void ModuleBuilder::set_host_pointer(llvm::Value *buffer, llvm::Value *pointer) {
    ir.CreateStore(pointer, ir.CreateStructGEP(buffer_type, buffer, 2));
}

}  // namespace kiln
