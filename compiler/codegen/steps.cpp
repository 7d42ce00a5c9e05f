#include "compiler/codegen/steps.h"

#include "compiler/codegen/scalar_code.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

class Steps {
public:
    Steps(ModuleBuilder &module, int64_t batch, int phases) : m_(module), ir_(module.ir), batch_(batch), phases_(std::max(phases, 1)) {}

    ProgramFunctions run() {
        ProgramFunctions functions;
        mark_ = mark();
        functions.bind = bind();
        functions.init = whole_program("kiln.init", "init");
        if (program_of_phase(m_.plan, "train", 0)) {
            functions.step_rule = per_phase_rule("kiln.step_rule", "rules.step");
            functions.epoch_end = per_phase_rule("kiln.epoch_end", "rules.epoch");
            functions.train_step = train_step();
        }
        if (program_of_phase(m_.plan, "evaluate", 0)) functions.eval_step = eval_step();
        if (program_of_phase(m_.plan, "predict", 0)) functions.predict_step = whole_program("kiln.predict_step", "predict");
        functions.report = report();
        functions.augment = augment();
        if (const Graph *graph = rule_of_phase(m_.plan, "rules.require", 0)) functions.check = check(*graph);
        if (program_of_phase(m_.plan, "trace", 0)) functions.trace_step = whole_program("kiln.trace_step", "trace");
        if (program_of_phase(m_.plan, "generate", 0)) functions.generate_step = whole_program("kiln.generate_step", "generate");
        return functions;
    }

private:
    std::vector<std::pair<llvm::Type *, const char *>> context_only() { return {{m_.context_pointer, "context"}}; }
    std::vector<std::pair<llvm::Type *, const char *>> context_and_phase() { return {{m_.context_pointer, "context"}, {ir_.getInt32Ty(), "phase"}}; }

    /// Gives buffers their addresses: a loop over a table, for the steps of a recurrent layer have thousands of them.
    llvm::Function *bind() {
        auto *function = m_.begin("kiln.bind", ir_.getVoidTy(), context_only());
        std::vector<uint64_t> places;  // of each: which one, arena, offset
        for (size_t i = 0; i < m_.plan.buffers.size(); i++) {
            const Buffer &buffer = m_.plan.buffers[i];
            if (is_batch_arena(buffer.arena)) continue;  // set at each step
            places.insert(places.end(), {i, uint64_t(m_.layout.arena(buffer.arena)), uint64_t(buffer.offset)});
        }
        auto *values = llvm::ConstantDataArray::get(m_.context, llvm::ArrayRef<uint64_t>(places));
        auto *table = new llvm::GlobalVariable(m_.llvm_module, values->getType(), true, llvm::GlobalValue::PrivateLinkage, values, "places");
        auto *before = ir_.GetInsertBlock();
        auto *loop = llvm::BasicBlock::Create(m_.context, "next", function);
        auto *body = llvm::BasicBlock::Create(m_.context, "place", function);
        auto *end = llvm::BasicBlock::Create(m_.context, "end", function);
        ir_.CreateBr(loop);
        ir_.SetInsertPoint(loop);
        auto *at = ir_.CreatePHI(ir_.getInt64Ty(), 2, "at");
        ir_.CreateCondBr(ir_.CreateICmpULT(at, m_.integer(int64_t(places.size()))), body, end);
        ir_.SetInsertPoint(body);
        auto entry = [&](int64_t k) {
            auto *place = ir_.CreateInBoundsGEP(values->getType(), table, {m_.integer(0), ir_.CreateAdd(at, m_.integer(k))});
            return ir_.CreateLoad(ir_.getInt64Ty(), place);
        };
        auto *base = m_.arena_base(function->getArg(0), entry(1));
        m_.set_host_pointer(m_.buffer_at(entry(0)), ir_.CreateGEP(ir_.getInt8Ty(), base, entry(2)));
        at->addIncoming(m_.integer(0), before);
        at->addIncoming(ir_.CreateAdd(at, m_.integer(3)), body);
        ir_.CreateBr(loop);
        ir_.SetInsertPoint(end);
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    /// Notes the time if somebody asked for it. Not inlined: one call before and after each kernel instead of two branches.
    llvm::Function *mark() {
        auto *function = m_.begin("kiln.mark", ir_.getVoidTy(), context_only());
        function->addFnAttr(llvm::Attribute::NoInline);
        auto *asked = llvm::BasicBlock::Create(m_.context, "asked", function);
        auto *end = llvm::BasicBlock::Create(m_.context, "end", function);
        auto *marks = ir_.CreateLoad(ir_.getInt64Ty()->getPointerTo(), ir_.CreateStructGEP(m_.context_type, function->getArg(0), 5), "marks");
        ir_.CreateCondBr(ir_.CreateIsNull(marks), end, asked);
        ir_.SetInsertPoint(asked);
        ir_.CreateCall(m_.llvm_module.getOrInsertFunction("kiln_mark", llvm::FunctionType::get(ir_.getVoidTy(), {m_.context_pointer}, false)), {function->getArg(0)});
        ir_.CreateBr(end);
        ir_.SetInsertPoint(end);
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    llvm::Value *read_context_scalar(llvm::Value *context, const Node &node) {
        const auto &input = attrs<InputAttrs>(node);
        KILN_CHECK(input.kind == InputKind::scalar, "input `{}` among scalars", input.name);
        return m_.from_f64(m_.load_scalar(context, m_.layout.scalar(input.name)), node.type.dtype);
    }

    std::vector<llvm::Value *> scalars_of(llvm::Value *context, const Graph &graph) {
        return emit_scalars(m_, graph, [&](const Node &node) { return read_context_scalar(context, node); });
    }

    /// Points the buffers of columns that the program reads or makes at the current batch.
    void set_columns(llvm::Value *context, const Program &program) {
        std::set<BufferId> data;
        auto collect = [&](BufferId id) { if (id.valid() && is_batch_arena(m_.plan[id].arena)) data.insert(id); };
        for (const Call &call : program.calls) {
            for (BufferId id : call.inputs) collect(id);
            for (BufferId id : call.outputs) collect(id);
        }
        for (const auto &[name, id] : program.samples) collect(id);
        for (const auto &[name, id] : program.outputs) collect(id);
        for (BufferId id : data) {
            const std::string &arena = m_.plan[id].arena;
            const int column = m_.layout.column(arena.substr(arena.find(':') + 1));
            m_.set_host_pointer(m_.buffer(id), arena.starts_with("augmented:") ? m_.load_augmented(context, column) : m_.load_column(context, column));
        }
    }

    void emit_calls(llvm::Value *context, const Program &program, const std::vector<llvm::Value *> &scalars, size_t begin, size_t end) {
        for (size_t c = begin; c < end; c++) {
            const Call &call = program.calls[c];
            std::vector<llvm::Value *> arguments;
            for (size_t i = 0; i < call.inputs.size(); i++) {
                if (call.inputs[i].valid()) { arguments.push_back(m_.buffer(call.inputs[i])); continue; }
                NodeId node = call.scalars[i];
                llvm::Value *value = scalars[size_t(node.index)];
                arguments.push_back(program.scalars[node].type.dtype == DType::boolean ? ir_.CreateZExt(value, ir_.getInt8Ty()) : value);
            }
            for (BufferId id : call.outputs) arguments.push_back(m_.buffer(id));
            m_.set_location(call.loc);
            auto callee = m_.kernel(call.kernel);
            KILN_CHECK(callee.getFunctionType()->getNumParams() == arguments.size(), "call of {} with {} arguments", m_.plan[call.kernel].name, arguments.size());
            ir_.CreateCall(mark_, {context});
            auto *instruction = ir_.CreateCall(callee, arguments);
            instruction->setAttributes(llvm::cast<llvm::Function>(callee.getCallee())->getAttributes());
            ir_.CreateCall(mark_, {context});
        }
        m_.set_location({});
    }

    llvm::Value *result_value(const Program &program, const std::vector<llvm::Value *> &scalars, const ScalarResult &result) {
        if (result.buffer.valid()) {
            DType dtype = m_.plan[result.buffer].type.dtype;
            auto *pointer = ir_.CreateBitCast(m_.host_pointer(result.buffer), m_.memory_type_of(dtype)->getPointerTo());
            return m_.to_f64(m_.load_element(pointer, dtype), dtype);
        }
        return m_.to_f64(scalars[size_t(result.node.index)], program.scalars[result.node].type.dtype);
    }

    /// Scalars named by a program's results go back to the context, after all of them were read.
    void store_scalar_results(llvm::Value *context, const Program &program, const std::vector<llvm::Value *> &scalars) {
        std::vector<std::pair<int, llvm::Value *>> stores;
        for (const ScalarResult &result : program.scalar_results)
            if (result.kind == ResultKind::scalar) stores.emplace_back(m_.layout.scalar(result.name), result_value(program, scalars, result));
        for (const auto &[index, value] : stores) m_.store_scalar(context, index, value);
    }

    /// Adds the first `valid` elements of [batch] values to a sum, in f64 from first to last. A rank-0 value counts for each sample.
    void sum_samples(llvm::Function *function, const std::string &name, BufferId id, llvm::Value *valid) {
        const Type &type = m_.plan[id].type;
        KILN_CHECK(type.rank() <= 1, "sample `{}` of type {}", name, to_string(type));
        llvm::Type *element = m_.memory_type_of(type.dtype);
        auto *values = ir_.CreateBitCast(m_.host_pointer(id), element->getPointerTo());
        llvm::Value *total;
        if (type.rank() == 0) {
            total = ir_.CreateFMul(m_.to_f64(m_.load_element(values, type.dtype), type.dtype), ir_.CreateSIToFP(valid, ir_.getDoubleTy()));
        } else {
            auto *before = ir_.GetInsertBlock();
            auto *loop = llvm::BasicBlock::Create(m_.context, "sum." + name, function);
            auto *body = llvm::BasicBlock::Create(m_.context, "sum." + name + ".add", function);
            auto *after = llvm::BasicBlock::Create(m_.context, "sum." + name + ".end", function);
            ir_.CreateBr(loop);
            ir_.SetInsertPoint(loop);
            auto *index = ir_.CreatePHI(ir_.getInt64Ty(), 2, "index");
            auto *sum = ir_.CreatePHI(ir_.getDoubleTy(), 2, "sum");
            ir_.CreateCondBr(ir_.CreateICmpSLT(index, valid), body, after);
            ir_.SetInsertPoint(body);
            auto *value = m_.to_f64(m_.load_element(ir_.CreateGEP(element, values, index), type.dtype), type.dtype);
            auto *next_sum = ir_.CreateFAdd(sum, value);
            auto *next = ir_.CreateAdd(index, m_.integer(1));
            ir_.CreateBr(loop);
            index->addIncoming(m_.integer(0), before);
            index->addIncoming(next, body);
            sum->addIncoming(llvm::ConstantFP::get(ir_.getDoubleTy(), 0), before);
            sum->addIncoming(next_sum, body);
            ir_.SetInsertPoint(after);
            total = sum;
        }
        m_.add_to_sum(function->getArg(0), m_.layout.mean(name), total);
    }

    /// The body of a program without a loss to check, from its calls to its scalar results.
    void emit_whole(llvm::Function *function, const Program &program) {
        set_columns(function->getArg(0), program);
        auto scalars = scalars_of(function->getArg(0), program.scalars);
        emit_calls(function->getArg(0), program, scalars, 0, program.calls.size());
        store_scalar_results(function->getArg(0), program, scalars);
    }

    llvm::Function *whole_program(const std::string &symbol, const std::string &name) {
        auto *function = m_.begin(symbol, ir_.getVoidTy(), context_only());
        if (const Program *program = program_of_phase(m_.plan, name, 0)) emit_whole(function, *program);
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    llvm::Function *rule(const Graph &graph) {
        auto *function = m_.begin(graph.name, ir_.getVoidTy(), context_only());
        auto values = scalars_of(function->getArg(0), graph);
        for (const Result &result : graph.results) {
            KILN_CHECK(result.kind == ResultKind::scalar, "{} has a result `{}` that is no scalar", graph.name, result.name);
            m_.store_scalar(function->getArg(0), m_.layout.scalar(result.name), m_.to_f64(values[size_t(result.value.index)], graph[result.value].type.dtype));
        }
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    /// Emits `by_phase(p)` in a block of its own for each phase whose thing differs from the others', chosen by the argument.
    template <typename Key, typename Emit>
    void switch_on_phase(llvm::Function *function, llvm::BasicBlock *end, Key key_of, Emit emit) {
        auto *entry = ir_.GetInsertBlock();
        using Thing = decltype(key_of(0));
        std::vector<std::pair<Thing, llvm::BasicBlock *>> blocks;
        std::vector<llvm::BasicBlock *> block_of_phase;
        for (int phase = 0; phase < phases_; phase++) {
            Thing key = key_of(phase);
            auto known = std::find_if(blocks.begin(), blocks.end(), [&](const auto &b) { return b.first == key; });
            if (known != blocks.end()) { block_of_phase.push_back(known->second); continue; }
            auto *block = llvm::BasicBlock::Create(m_.context, "phase." + std::to_string(phase), function);
            blocks.emplace_back(key, block);
            block_of_phase.push_back(block);
            ir_.SetInsertPoint(block);
            emit(phase);
            if (!ir_.GetInsertBlock()->getTerminator()) ir_.CreateBr(end);
        }
        ir_.SetInsertPoint(entry);
        auto *dispatch = ir_.CreateSwitch(function->getArg(1), block_of_phase[0], unsigned(phases_));
        for (int phase = 1; phase < phases_; phase++) dispatch->addCase(ir_.getInt32(uint32_t(phase)), block_of_phase[size_t(phase)]);
    }

    llvm::Function *per_phase_rule(const std::string &symbol, const std::string &name) {
        std::map<const Graph *, llvm::Function *> rules;
        for (int phase = 0; phase < phases_; phase++)
            if (const Graph *graph = rule_of_phase(m_.plan, name, phase); graph && !rules[graph]) rules[graph] = rule(*graph);
        auto *function = m_.begin(symbol, ir_.getVoidTy(), context_and_phase());
        auto *end = llvm::BasicBlock::Create(m_.context, "end", function);
        switch_on_phase(function, end, [&](int phase) { return rule_of_phase(m_.plan, name, phase); },
                        [&](int phase) { if (const Graph *graph = rule_of_phase(m_.plan, name, phase)) ir_.CreateCall(rules[graph], {function->getArg(0)}); });
        ir_.SetInsertPoint(end);
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    /// Forward, backward, the check of the loss, stores. i32: the step's status.
    llvm::Function *train_program(const Program &program) {
        auto *function = m_.begin(program.name, ir_.getInt32Ty(), context_only());
        auto *context = function->getArg(0);
        set_columns(context, program);
        auto scalars = scalars_of(context, program.scalars);
        emit_calls(context, program, scalars, 0, size_t(program.commit));

        llvm::Value *loss = nullptr;
        for (const ScalarResult &result : program.scalar_results)
            if (result.kind == ResultKind::loss) loss = result_value(program, scalars, result);
        if (loss) {
            m_.store_scalar(context, m_.layout.scalar("loss"), loss);
            auto *finite = llvm::BasicBlock::Create(m_.context, "finite", function);
            auto *not_finite = llvm::BasicBlock::Create(m_.context, "not_finite", function);
            auto *size = ir_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, loss);
            ir_.CreateCondBr(ir_.CreateFCmpOLT(size, llvm::ConstantFP::getInfinity(ir_.getDoubleTy())), finite, not_finite);
            ir_.SetInsertPoint(not_finite);
            ir_.CreateRet(ir_.getInt32(1));
            ir_.SetInsertPoint(finite);
        }

        emit_calls(context, program, scalars, size_t(program.commit), program.calls.size());
        store_scalar_results(context, program, scalars);
        for (const auto &[name, id] : program.samples)
            if (m_.layout.mean(name) >= 0) sum_samples(function, name, id, m_.integer(batch_));
        if (loss && !program.samples.contains("loss"))
            m_.add_to_sum(context, m_.layout.mean("loss"), ir_.CreateFMul(loss, llvm::ConstantFP::get(ir_.getDoubleTy(), double(batch_))));
        ir_.CreateRet(ir_.getInt32(0));
        m_.end(function);
        return function;
    }

    llvm::Function *train_step() {
        std::map<const Program *, llvm::Function *> functions;
        auto program = [&](const char *name, int phase) { return program_of_phase(m_.plan, name, phase); };
        for (int phase = 0; phase < phases_; phase++) {
            if (const Program *train = program("train", phase); train && !functions[train]) functions[train] = train_program(*train);
            if (const Program *update = program("update", phase); update && !functions[update]) {
                auto *function = functions[update] = m_.begin(update->name, ir_.getVoidTy(), context_only());
                emit_whole(function, *update);
                ir_.CreateRetVoid();
                m_.end(function);
            }
        }

        auto *function = m_.begin("kiln.train_step", ir_.getInt32Ty(), context_and_phase());
        auto *end = llvm::BasicBlock::Create(m_.context, "end", function);
        auto *stop = llvm::BasicBlock::Create(m_.context, "stop", function);
        switch_on_phase(
            function, end, [&](int phase) { return std::pair(program("train", phase), program("update", phase)); },
            [&](int phase) {
                if (const Program *train = program("train", phase)) {
                    auto *go_on = llvm::BasicBlock::Create(m_.context, "update", function);
                    auto *status = ir_.CreateCall(functions[train], {function->getArg(0)}, "status");
                    ir_.CreateCondBr(ir_.CreateICmpEQ(status, ir_.getInt32(0)), go_on, stop);
                    ir_.SetInsertPoint(go_on);
                }
                if (const Program *update = program("update", phase)) ir_.CreateCall(functions[update], {function->getArg(0)});
            });
        ir_.SetInsertPoint(stop);
        ir_.CreateRet(ir_.getInt32(1));
        ir_.SetInsertPoint(end);
        ir_.CreateRet(ir_.getInt32(0));
        m_.end(function);
        return function;
    }

    llvm::Function *eval_step() {
        auto *function = m_.begin("kiln.eval_step", ir_.getVoidTy(), {{m_.context_pointer, "context"}, {ir_.getInt64Ty(), "valid"}});
        const Program *program = program_of_phase(m_.plan, "evaluate", 0);
        emit_whole(function, *program);
        for (const auto &[name, id] : program->samples)
            if (m_.layout.mean(name) >= 0) sum_samples(function, name, id, function->getArg(1));
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    /// Null if no phase augments.
    llvm::Function *augment() {
        std::map<const Program *, llvm::Function *> functions;
        for (int phase = 0; phase < phases_; phase++) {
            const Program *program = program_of_phase(m_.plan, "augment", phase);
            if (!program || functions.count(program)) continue;
            auto *function = functions[program] = m_.begin("kiln." + program->name + ".batch", ir_.getVoidTy(), context_only());
            emit_whole(function, *program);
            ir_.CreateRetVoid();
            m_.end(function);
        }
        if (functions.empty()) return nullptr;
        auto *function = m_.begin("kiln.augment", ir_.getVoidTy(), context_and_phase());
        auto *end = llvm::BasicBlock::Create(m_.context, "end", function);
        switch_on_phase(function, end, [&](int phase) { return program_of_phase(m_.plan, "augment", phase); },
                        [&](int phase) { if (const Program *program = program_of_phase(m_.plan, "augment", phase)) ir_.CreateCall(functions[program], {function->getArg(0)}); });
        ir_.SetInsertPoint(end);
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    /// Whether the condition of this index holds.
    llvm::Function *check(const Graph &graph) {
        auto *function = m_.begin("kiln.check", ir_.getInt32Ty(), {{m_.context_pointer, "context"}, {ir_.getInt32Ty(), "index"}});
        auto values = scalars_of(function->getArg(0), graph);
        llvm::Value *holds = ir_.getTrue();
        for (size_t i = 0; i < graph.results.size(); i++) {
            NodeId id = graph.results[i].value;
            KILN_CHECK(graph[id].type == (Type{DType::boolean, {}}), "a condition of type {}", to_string(graph[id].type));
            holds = ir_.CreateSelect(ir_.CreateICmpEQ(function->getArg(1), ir_.getInt32(uint32_t(i))), values[size_t(id.index)], holds);
        }
        ir_.CreateRet(ir_.CreateZExt(holds, ir_.getInt32Ty()));
        m_.end(function);
        return function;
    }

    llvm::Function *report() {
        auto *doubles = ir_.getDoubleTy()->getPointerTo();
        auto *function = m_.begin("kiln.report", ir_.getVoidTy(), {{doubles, "means"}, {doubles, "reported"}});
        auto place = [&](unsigned argument, int index) { return ir_.CreateGEP(ir_.getDoubleTy(), function->getArg(argument), m_.integer(index)); };
        std::vector<llvm::Value *> means;
        for (size_t i = 0; i < m_.layout.means.size(); i++) means.push_back(ir_.CreateLoad(ir_.getDoubleTy(), place(0, int(i))));
        std::vector<llvm::Value *> reported(means.begin(), means.begin() + long(m_.layout.samples.size()));
        if (const Graph *graph = rule_of_phase(m_.plan, "rules.report", 0)) {
            auto values = emit_scalars(m_, *graph, [&](const Node &node) {
                const std::string &name = attrs<InputAttrs>(node).name;
                KILN_CHECK(name.starts_with(kMeanOf), "rules.report reads `{}`", name);
                const int index = m_.layout.mean(std::string_view(name).substr(kMeanOf.size()));
                return m_.from_f64(means[size_t(index)], node.type.dtype);
            });
            for (const Result &result : graph->results)
                if (int index = m_.layout.sample(result.name); index >= 0)
                    reported[size_t(index)] = m_.to_f64(values[size_t(result.value.index)], (*graph)[result.value].type.dtype);
        }
        for (size_t i = 0; i < reported.size(); i++) ir_.CreateStore(reported[i], place(1, int(i)));
        ir_.CreateRetVoid();
        m_.end(function);
        return function;
    }

    ModuleBuilder &m_;
    llvm::IRBuilder<> &ir_;
    int64_t batch_;
    int phases_;
    llvm::Function *mark_ = nullptr;
};

}  // namespace

ProgramFunctions emit_steps(ModuleBuilder &module, int64_t batch, int phases) { return Steps(module, batch, phases).run(); }

}  // namespace kiln
