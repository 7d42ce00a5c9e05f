#include "compiler/codegen/module_builder.h"

#include "compiler/support/check.h"

namespace kiln {

ModuleBuilder::ModuleBuilder(const Module &module, const Plan &the_plan)
    : plan(the_plan), layout(layout_of(module, the_plan)), llvm_module(module.source_name, context), ir(context), debug_(llvm_module),
      source_name_(module.source_name.empty() ? "program" : module.source_name) {
    llvm_module.setTargetTriple("x86_64-pc-linux-gnu");
    llvm_module.setPICLevel(llvm::PICLevel::BigPIC);
    llvm_module.addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
    llvm_module.addModuleFlag(llvm::Module::Warning, "Dwarf Version", 4);
    unit_ = debug_.createCompileUnit(llvm::dwarf::DW_LANG_C, debug_file(source_name_), "kiln", true, "", 0, "",
                                     llvm::DICompileUnit::LineTablesOnly);

    byte_pointer = ir.getInt8PtrTy();
    auto *doubles = ir.getDoubleTy()->getPointerTo();
    context_type = llvm::StructType::create(context, {byte_pointer->getPointerTo(), byte_pointer->getPointerTo(), doubles, doubles, byte_pointer->getPointerTo(), ir.getInt64Ty()->getPointerTo()}, "KilnContext");
    context_pointer = context_type->getPointerTo();
    make_buffers();
}

llvm::Type *ModuleBuilder::type_of(DType dtype) {
    switch (dtype) {
    case DType::f32: return ir.getFloatTy();
    case DType::f64: return ir.getDoubleTy();
    case DType::i32: return ir.getInt32Ty();
    case DType::i64: return ir.getInt64Ty();
    case DType::u8: return ir.getInt8Ty();
    case DType::boolean: return ir.getInt1Ty();
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

llvm::Type *ModuleBuilder::memory_type_of(DType dtype) { return dtype == DType::boolean ? ir.getInt8Ty() : type_of(dtype); }

llvm::Function *ModuleBuilder::begin(const std::string &name, llvm::Type *result,
                                     const std::vector<std::pair<llvm::Type *, const char *>> &parameters, bool internal) {
    std::vector<llvm::Type *> types;
    for (const auto &[type, unused] : parameters) types.push_back(type);
    auto *function = llvm::Function::Create(llvm::FunctionType::get(result, types, false),
                                            internal ? llvm::Function::InternalLinkage : llvm::Function::ExternalLinkage, name, llvm_module);
    for (size_t i = 0; i < parameters.size(); i++) function->getArg(unsigned(i))->setName(parameters[i].second);
    function->addFnAttr(llvm::Attribute::NoUnwind);
    ir.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", function));

    llvm::DIFile *file = debug_file(source_name_);
    subprogram_ = debug_.createFunction(file, name, name, file, 1, debug_.createSubroutineType(debug_.getOrCreateTypeArray({})), 1,
                                        llvm::DINode::FlagArtificial, llvm::DISubprogram::SPFlagDefinition);
    function->setSubprogram(subprogram_);
    set_location({});
    return function;
}

void ModuleBuilder::end(llvm::Function *function) {
    ir.SetCurrentDebugLocation({});
    debug_.finalizeSubprogram(subprogram_);
    std::string problems;
    llvm::raw_string_ostream stream(problems);
    KILN_CHECK(!llvm::verifyFunction(*function, &stream), "LLVM rejects `{}`: {}", function->getName().str(), stream.str());
}

void ModuleBuilder::set_location(const Loc &loc) {
    llvm::DIScope *scope = subprogram_;
    if (loc.valid() && loc.file != source_name_) scope = debug_.createLexicalBlockFile(subprogram_, debug_file(loc.file), 0);
    ir.SetCurrentDebugLocation(llvm::DILocation::get(context, loc.valid() ? unsigned(loc.line) : 0, loc.valid() ? unsigned(loc.column) : 0, scope));
}

llvm::DIFile *ModuleBuilder::debug_file(const std::string &name) { return debug_.createFile(name, "."); }

llvm::Constant *ModuleBuilder::text(const std::string &value, const char *name) {
    auto *data = llvm::ConstantDataArray::getString(context, value, true);
    auto *global = new llvm::GlobalVariable(llvm_module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data, name);
    return llvm::ConstantExpr::getBitCast(global, byte_pointer);
}

llvm::Value *ModuleBuilder::arena_base(llvm::Value *ctx, llvm::Value *index) {
    auto *arenas = ir.CreateLoad(byte_pointer->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 0), "arenas");
    return ir.CreateLoad(byte_pointer, ir.CreateGEP(byte_pointer, arenas, index), "base");
}

llvm::Value *ModuleBuilder::load_column(llvm::Value *ctx, int index) {
    auto *columns = ir.CreateLoad(byte_pointer->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 1), "columns");
    return ir.CreateLoad(byte_pointer, ir.CreateGEP(byte_pointer, columns, integer(index)), layout.columns[size_t(index)]);
}

llvm::Value *ModuleBuilder::load_augmented(llvm::Value *ctx, int index) {
    auto *augmented = ir.CreateLoad(byte_pointer->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 4), "augmented");
    return ir.CreateLoad(byte_pointer, ir.CreateGEP(byte_pointer, augmented, integer(index)), layout.columns[size_t(index)]);
}

llvm::Value *ModuleBuilder::load_scalar(llvm::Value *ctx, int index) {
    auto *scalars = ir.CreateLoad(ir.getDoubleTy()->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 2), "scalars");
    return ir.CreateLoad(ir.getDoubleTy(), ir.CreateGEP(ir.getDoubleTy(), scalars, integer(index)), layout.scalars[size_t(index)]);
}

void ModuleBuilder::store_scalar(llvm::Value *ctx, int index, llvm::Value *value) {
    auto *scalars = ir.CreateLoad(ir.getDoubleTy()->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 2), "scalars");
    ir.CreateStore(value, ir.CreateGEP(ir.getDoubleTy(), scalars, integer(index), layout.scalars[size_t(index)]));
}

void ModuleBuilder::add_to_sum(llvm::Value *ctx, int index, llvm::Value *value) {
    auto *sums = ir.CreateLoad(ir.getDoubleTy()->getPointerTo(), ir.CreateStructGEP(context_type, ctx, 3), "sums");
    auto *place = ir.CreateGEP(ir.getDoubleTy(), sums, integer(index), layout.means[size_t(index)]);
    ir.CreateStore(ir.CreateFAdd(ir.CreateLoad(ir.getDoubleTy(), place), value), place);
}

llvm::FunctionCallee ModuleBuilder::kernel(KernelId id) {
    const Kernel &kernel = plan[id];
    std::vector<llvm::Type *> types;
    std::vector<unsigned> bytes;  // by-value arguments narrower than an int are zero-extended by the caller
    for (const Node &node : kernel.body.nodes) {
        if (node.op != Op::input) continue;
        if (attrs<InputAttrs>(node).name.starts_with("scalar")) {
            if (size_of(node.type.dtype) == 1) bytes.push_back(unsigned(types.size()));
            types.push_back(memory_type_of(node.type.dtype));
        } else {
            types.push_back(buffer_type->getPointerTo());
        }
    }
    for (size_t i = 0; i < kernel.body.results.size(); i++) types.push_back(buffer_type->getPointerTo());
    auto callee = llvm_module.getOrInsertFunction(kernel.name, llvm::FunctionType::get(ir.getInt32Ty(), types, false));
    auto *function = llvm::cast<llvm::Function>(callee.getCallee());
    function->addFnAttr(llvm::Attribute::NoUnwind);
    for (unsigned i : bytes) function->addParamAttr(i, llvm::Attribute::ZExt);
    return callee;
}

llvm::FunctionCallee ModuleBuilder::math(const char *name, llvm::Type *type, int arguments) {
    std::string symbol = type->isFloatTy() ? std::string(name) + "f" : name;
    auto callee = llvm_module.getOrInsertFunction(symbol, llvm::FunctionType::get(type, std::vector<llvm::Type *>(size_t(arguments), type), false));
    llvm::cast<llvm::Function>(callee.getCallee())->addFnAttr(llvm::Attribute::NoUnwind);
    return callee;
}

llvm::Value *ModuleBuilder::to_f64(llvm::Value *value, DType from) {
    switch (from) {
    case DType::f64: return value;
    case DType::f32: return ir.CreateFPExt(value, ir.getDoubleTy());
    case DType::i32:
    case DType::i64: return ir.CreateSIToFP(value, ir.getDoubleTy());
    case DType::u8:
    case DType::boolean: return ir.CreateUIToFP(value, ir.getDoubleTy());
    }
    KILN_UNREACHABLE("dtype {}", int(from));
}

llvm::Value *ModuleBuilder::from_f64(llvm::Value *value, DType to) {
    switch (to) {
    case DType::f64: return value;
    case DType::f32: return ir.CreateFPTrunc(value, ir.getFloatTy());
    // Saturating: a plain conversion of a value out of range is poison.
    case DType::i32:
    case DType::i64: return ir.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {type_of(to), value->getType()}, {value});
    case DType::u8: return ir.CreateIntrinsic(llvm::Intrinsic::fptoui_sat, {type_of(to), value->getType()}, {value});
    case DType::boolean: return ir.CreateFCmpUNE(value, llvm::ConstantFP::get(value->getType(), 0));
    }
    KILN_UNREACHABLE("dtype {}", int(to));
}

llvm::Value *ModuleBuilder::load_element(llvm::Value *pointer, DType dtype) {
    auto *value = ir.CreateLoad(memory_type_of(dtype), pointer);
    return dtype == DType::boolean ? ir.CreateICmpNE(value, ir.getInt8(0)) : value;
}

llvm::Module &ModuleBuilder::finish() {
    debug_.finalize();
    std::string problems;
    llvm::raw_string_ostream stream(problems);
    KILN_CHECK(!llvm::verifyModule(llvm_module, &stream), "LLVM rejects the module: {}", stream.str());
    return llvm_module;
}

}  // namespace kiln
