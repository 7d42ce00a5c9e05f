#include "compiler/codegen/target.h"

#include "compiler/support/check.h"

#include <memory>
#include <mutex>

#include <llvm/Transforms/Utils/Cloning.h>

namespace kiln {

namespace {

std::unique_ptr<llvm::TargetMachine> target_machine(const std::string &triple, const ProgramOptions &options) {
    static std::once_flag once;  // LLVM's registry is global
    std::call_once(once, [] {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
    });
    std::string problem;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, problem);
    KILN_CHECK(target, "no LLVM target for {}: {}", triple, problem);
    // The program does scalar arithmetic only: for "native" the baseline is as good as the machine's own features, and
    // cannot name a feature the processor lacks.
    std::string cpu = options.target == "native" ? "x86-64-v2" : options.target;
    const llvm::CodeGenOpt::Level levels[] = {llvm::CodeGenOpt::None, llvm::CodeGenOpt::Less, llvm::CodeGenOpt::Default, llvm::CodeGenOpt::Aggressive};
    KILN_CHECK(options.level >= 0 && options.level <= 3, "optimization level {}", options.level);
    llvm::TargetOptions target_options;
    target_options.AllowFPOpFusion = llvm::FPOpFusion::Strict;  // the same bits for every target
    return std::unique_ptr<llvm::TargetMachine>(
        target->createTargetMachine(triple, cpu, "", target_options, llvm::Reloc::PIC_, llvm::None, levels[options.level]));
}

void optimize_module(llvm::Module &module, llvm::TargetMachine &machine, int level) {
    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager components;
    llvm::ModuleAnalysisManager modules;
    llvm::PassBuilder passes(&machine);
    passes.registerModuleAnalyses(modules);
    passes.registerCGSCCAnalyses(components);
    passes.registerFunctionAnalyses(functions);
    passes.registerLoopAnalyses(loops);
    passes.crossRegisterProxies(loops, functions, components, modules);
    const llvm::OptimizationLevel levels[] = {llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1, llvm::OptimizationLevel::O2, llvm::OptimizationLevel::O3};
    auto pipeline = level == 0 ? passes.buildO0DefaultPipeline(levels[0]) : passes.buildPerModuleDefaultPipeline(levels[level]);
    pipeline.run(module, modules);
}

llvm::SmallVector<char, 0> generate(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type) {
    llvm::SmallVector<char, 0> bytes;
    llvm::raw_svector_ostream stream(bytes);
    llvm::legacy::PassManager passes;
    KILN_CHECK(!machine.addPassesToEmitFile(passes, stream, nullptr, type), "LLVM cannot emit this file type");
    passes.run(module);
    return bytes;
}

}  // namespace

void compile_module(llvm::Module &module, const ProgramOptions &options, ProgramObject &result) {
    auto machine = target_machine(module.getTargetTriple(), options);
    module.setDataLayout(machine->createDataLayout());
    optimize_module(module, *machine, options.level);
    if (options.assembly) {
        auto copy = llvm::CloneModule(module);  // code generation changes a module
        auto assembly = generate(*copy, *machine, llvm::CGFT_AssemblyFile);
        result.assembly.assign(assembly.begin(), assembly.end());
    }
    auto object = generate(module, *machine, llvm::CGFT_ObjectFile);
    result.object.assign(object.begin(), object.end());
}

}  // namespace kiln
