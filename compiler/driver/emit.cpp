#include "compiler/codegen/emit_program.h"
#include "compiler/driver/commands.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/link.h"
#include "compiler/driver/session.h"
#include "compiler/ir/text.h"
#include "compiler/support/check.h"
#include "compiler/syntax/print.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

std::string escape_attribute(const std::string &html) {
    std::string result;
    for (char c : html) {
        if (c == '&') result += "&amp;";
        else if (c == '"') result += "&quot;";
        else result += c;
    }
    return result;
}

std::vector<const Kernel *> chosen_kernels(const Plan &plan, const std::string &name) {
    std::vector<const Kernel *> kernels;
    for (const Kernel &kernel : plan.kernels)
        if (name.empty() || kernel.name == name) kernels.push_back(&kernel);
    if (!name.empty() && kernels.empty()) throw UsageError(fmt::format("no kernel `{}`; `kiln emit plan` lists them", name));
    return kernels;
}

/// Where a kernel is called: layer path and place of each call.
std::string uses_of(const Plan &plan, const Kernel &kernel) {
    std::string text;
    for (const Program &program : plan.programs)
        for (const Call &call : program.calls)
            if (&plan[call.kernel] == &kernel)
                text += fmt::format("// {} {}{}\n", program.name, call.scope, call.loc.valid() ? "  @ " + to_string(call.loc) : "");
    return text;
}

std::string kernel_statements(const Plan &plan, const EmitOptions &options, const KernelOptions &kernel_options) {
    bool html = options.output.ends_with(".html");
    std::string text;
    for (const Kernel *kernel : chosen_kernels(plan, options.kernel)) {
        std::string statement = kernel_statement(*kernel, kernel_options, html);
        if (!html) text += fmt::format("// kernel {}\n{}{}\n", kernel->name, uses_of(plan, *kernel), statement);
        else text += fmt::format("<details><summary>{}</summary><iframe style=\"width:100%;height:80vh;border:0\" srcdoc=\"{}\"></iframe></details>\n",
                                 kernel->name, escape_attribute(statement));
    }
    return html ? fmt::format("<!DOCTYPE html><meta charset=\"utf-8\"><title>{}: kernels</title>\n{}", options.compile.input, text) : text;
}

std::string assembly(const Module &module, const Plan &plan, const EmitOptions &options, const KernelOptions &kernel_options) {
    std::string text;
    if (options.kernel.empty()) text = emit_program(module, plan, {options.compile.target, options.compile.level, true}).assembly;
    for (const Kernel *kernel : chosen_kernels(plan, options.kernel))
        text += fmt::format("\n# kernel {}\n{}", kernel->name, kernel_assembly(*kernel, kernel_options));
    return text;
}

std::string object(const Module &module, const Plan &plan, const EmitOptions &options, const KernelOptions &kernel_options) {
    std::vector<ObjectFile> objects = emit_kernels(plan, kernel_options);
    objects.push_back({"program", emit_program(module, plan, {options.compile.target, options.compile.level}).object});
    return std::string(as_text(link_relocatable(objects)));
}

Stage last_stage(const std::string &name) {
    if (name == "ast") return Stage::ast;
    if (name == "graph") return Stage::graph;
    if (name == "grad") return Stage::grad;
    if (name == "optimized") return Stage::optimized;
    return Stage::plan;
}

}  // namespace

const std::vector<std::string> &emit_stages() {
    static const std::vector<std::string> stages = {"ast", "graph", "grad", "optimized", "plan", "kernels", "llvm", "asm", "obj"};
    return stages;
}

int emit(const EmitOptions &options) {
    const std::string &stage = options.stage;
    if (stage == "obj" && options.output.empty()) throw UsageError("`kiln emit obj` needs -o FILE");
    if (stage == "ast" && is_graph_file(options.compile.input)) throw UsageError("a .graph has no syntax tree: `kiln emit ast` takes a .model file");
    Session session(options.compile);
    Compilation c = session.run(last_stage(stage));
    if (session.finish()) return kExitProgram;
    session.keep_sources(options.output);

    std::string text;
    if (stage == "ast") text = dump(c.tree);
    else if (stage == "graph") text = print(c.graph);
    else if (stage == "grad") text = print(c.grad);
    else if (stage == "optimized") text = print(c.optimized);
    else if (stage == "plan") text = print(c.plan);
    else if (stage == "kernels") text = kernel_statements(c.plan, options, session.kernel_options());
    else if (stage == "llvm") text = emit_program(c.graph, c.plan, {options.compile.target, options.compile.level}).llvm_text;
    else if (stage == "asm") text = assembly(c.graph, c.plan, options, session.kernel_options());
    else if (stage == "obj") text = object(c.graph, c.plan, options, session.kernel_options());
    else KILN_UNREACHABLE("stage {}", stage);

    if (options.output.empty()) write_stdout(text);
    else write_file(options.output, text);
    return kExitOk;
}

}  // namespace kiln
