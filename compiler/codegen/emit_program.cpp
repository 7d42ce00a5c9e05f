#include "compiler/codegen/emit_program.h"

#include "compiler/codegen/module_builder.h"
#include "compiler/codegen/steps.h"
#include "compiler/codegen/target.h"
#include "kiln/program.h"

namespace kiln {

namespace {

/// The KilnProgram the runtime is handed.
llvm::GlobalVariable *program_table(ModuleBuilder &m, const Module &module, const ProgramFunctions &f, const ProgramOptions &options) {
    llvm::Constant *constants = llvm::ConstantPointerNull::get(m.byte_pointer);
    if (!m.plan.constants.empty()) {
        auto *bytes = llvm::ConstantDataArray::get(m.context, llvm::ArrayRef<uint8_t>(m.plan.constants));
        auto *global = new llvm::GlobalVariable(m.llvm_module, bytes->getType(), true, llvm::GlobalValue::InternalLinkage, bytes, "constants");
        global->setAlignment(llvm::Align(64));
        constants = llvm::ConstantExpr::getBitCast(global, m.byte_pointer);
    }
    auto *context_to_void = llvm::FunctionType::get(m.ir.getVoidTy(), {m.context_pointer}, false);
    auto *phase_to_void = llvm::FunctionType::get(m.ir.getVoidTy(), {m.context_pointer, m.ir.getInt32Ty()}, false);
    auto *phase_to_status = llvm::FunctionType::get(m.ir.getInt32Ty(), {m.context_pointer, m.ir.getInt32Ty()}, false);
    auto *valid_to_void = llvm::FunctionType::get(m.ir.getVoidTy(), {m.context_pointer, m.ir.getInt64Ty()}, false);
    auto entry = [](llvm::Function *function, llvm::FunctionType *type) -> llvm::Constant * {
        if (function) return function;
        return llvm::ConstantPointerNull::get(type->getPointerTo());
    };
    std::vector<llvm::Constant *> fields = {
        m.ir.getInt32(KILN_ABI_VERSION), m.text(program_metadata(module, m.plan, options), "metadata"), constants, f.bind, f.init,
        entry(f.step_rule, phase_to_void), entry(f.train_step, phase_to_status), entry(f.epoch_end, phase_to_void),
        entry(f.eval_step, valid_to_void), entry(f.predict_step, context_to_void), f.report, entry(f.augment, phase_to_void), entry(f.check, phase_to_status),
        entry(f.trace_step, context_to_void), entry(f.generate_step, context_to_void)};
    auto *table = llvm::ConstantStruct::getAnon(m.context, fields);
    return new llvm::GlobalVariable(m.llvm_module, table->getType(), true, llvm::GlobalValue::InternalLinkage, table, "program");
}

void emit_main(ModuleBuilder &m, llvm::GlobalVariable *program) {
    auto *i32 = m.ir.getInt32Ty();
    auto *arguments = m.byte_pointer->getPointerTo();
    auto *function = m.begin("main", i32, {{i32, "argc"}, {arguments, "argv"}}, false);
    function->removeFnAttr(llvm::Attribute::NoUnwind);  // the runtime is C++
    auto kiln_main = m.llvm_module.getOrInsertFunction("kiln_main", llvm::FunctionType::get(i32, {i32, arguments, program->getType()}, false));
    m.ir.CreateRet(m.ir.CreateCall(kiln_main, {function->getArg(0), function->getArg(1), program}));
    m.end(function);
}

}  // namespace

ProgramObject emit_program(const Module &module, const Plan &plan, const ProgramOptions &options) {
    ModuleBuilder builder(module, plan);
    ProgramFunctions functions = emit_steps(builder, module.batch, int(module.phases.size()));
    emit_main(builder, program_table(builder, module, functions, options));

    ProgramObject result;
    llvm::Module &finished = builder.finish();
    llvm::raw_string_ostream stream(result.llvm_text);
    finished.print(stream, nullptr);
    stream.flush();
    compile_module(finished, options, result);
    return result;
}

}  // namespace kiln
