// The state and the parts of elaboration; private to this directory. One instance elaborates one file.
//
// An expression is evaluated in a scope (names), a graph context (where tensors are built) and a layer path (what parameters
// are called). The model is walked once for training and once for inference; wrong expressions give Poison.
#pragma once

#include "compiler/elaborate/elaborate.h"
#include "compiler/elaborate/value.h"
#include "compiler/support/diagnostic_codes.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kiln {

/// Deepest chain of calls of definitions, and of evaluations within one another: recursion is not allowed, and this stops it.
inline constexpr int kMaxCalls = 256;
inline constexpr int kMaxEvaluations = 1500;
/// Most calls of one walk through the model, and most elements of a list: definitions that call one another twice each would be through with them in years.
inline constexpr int64_t kMostCalls = 200000, kMostTurns = 1000000, kMostElements = 1000000;

/// An evaluated argument.
struct CallArgument {
    ast::Name name;  ///< empty text: positional
    Value value;
    SourceRange range;
};

/// A `train` block: its settings by name, and its phases.
struct TrainSettings {
    std::map<std::string, const ast::BindStmt *> settings;
    std::vector<const ast::HookStmt *> phases;
};

/// One phase of training, its settings completed from the block around it.
struct PhaseSettings {
    std::map<std::string, const ast::BindStmt *> settings;
    std::vector<std::string> frozen;
    bool freezes(const std::string &path) const { return std::find(frozen.begin(), frozen.end(), path) != frozen.end(); }
};

/// What a setting `mix` makes batches of, each part with its place.
struct Mix {
    std::vector<std::pair<MixPart, SourceRange>> parts;
};

/// An optimizer around another, with its parameters bound.
struct Wrapper {
    FunctionValue definition;
    std::shared_ptr<Scope> scope;
};

struct OpFrame;
struct Nest;
struct IndexedStatement;

/// Whether a value depends on the data, of all values.
std::vector<bool> depends_on_data(const Graph &graph);
bool depends_on_data(const TensorValue &tensor);
/// Whether it is computed from a parameter or a buffer.
bool depends_on_storage(const TensorValue &tensor);

class Elaborator {
public:
    Elaborator(SourceMap &sources, const ElaborateOptions &options, Diagnostics &diagnostics)
        : sources_(sources), options_(options), diagnostics_(&diagnostics) {}
    Module run(const ast::Module &file);

private:
    // modules.cpp: files, declarations, and the order of everything
    void load_prelude();
    void declare_file(const ast::Module &file, const std::shared_ptr<Scope> &scope);
    void declare_value(const ast::Decl &decl, const ast::ValueDecl &value, Binding &binding);
    void import_file(const ast::Decl &decl, const std::string &path, const SourceFile *from, const std::shared_ptr<Scope> &scope);
    void apply_precision(const ast::Module &file);
    std::optional<Value> parse_define(const std::string &text, const Value &like);
    bool in_stdlib(SourceRange range) const;

    // report.cpp: diagnostics at the user's place, and unused names
    Diagnostic &report(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments = {});
    Value fail(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments = {});
    SourceRange user_range(SourceRange range) const;
    std::string suggestion(std::string_view name, const std::vector<std::string> &candidates) const;
    void suggest(Diagnostic &diagnostic, std::string_view name, const std::vector<std::string> &candidates) const;
    void report_unused();

    // scope.cpp
    Binding *find(const std::string &name) const;
    bool bind(const ast::Name &name, Value value, bool assignable = true, std::optional<Cell> cell = {});
    Value lookup(const std::string &name, SourceRange range);
    /// Of a name that nothing defines: what should have defined it, if that is an argument.
    void report_unknown(const std::string &name, SourceRange range);
    std::optional<Value> builtin(const std::string &name, SourceRange range);
    std::vector<std::string> visible_names() const;
    Value read(const Binding &binding);
    Value scalar(const std::string &name);

    // expressions.cpp
    Value evaluate(const ast::Expr &expr);
    Value fail_not_callable(const Value &callee, SourceRange range);
    Value evaluate_call(const ast::CallExpr &call, SourceRange range, std::optional<CallArgument> piped);
    Value evaluate_pipe(const ast::PipeExpr &pipe, SourceRange range);
    Value evaluate_index(const ast::IndexExpr &index, SourceRange range);
    Value slice_tensor(const TensorValue &tensor, const ast::IndexExpr &index, SourceRange range);
    Value evaluate_if(const ast::IfExpr &expr, SourceRange range);
    std::optional<int64_t> evaluate_int(const ast::Expr &expr, const char *what);

    // operators.cpp
    Value unary(ast::UnaryOp op, const Value &operand, SourceRange range);
    Value binary(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range);
    Value numbers(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range);
    Value elementwise(Op op, std::vector<Value> operands, SourceRange range);
    GraphContext *context_of(const std::vector<Value> &operands, SourceRange range);
    NodeId materialize(GraphContext &context, const Value &value, DType dtype);
    template <typename Build> Value build(const std::vector<Value> &operands, SourceRange range, Build &&make);
    void note_origins(GraphContext &context, NodeId result, const std::vector<NodeId> &operands, SourceRange range);
    void label_shapes(Diagnostic &diagnostic, const std::vector<Value> &operands);

    // statements.cpp
    std::optional<Value> execute(const ast::Block &block);
    std::optional<Value> execute(const ast::Stmt &stmt);
    std::optional<Value> execute_augment(const ast::Block &block);
    std::optional<Value> after_error() const;
    void execute_bind(const ast::BindStmt &bind, SourceRange range);
    void execute_update(const ast::UpdateStmt &update, SourceRange range);
    std::optional<Value> execute_if(const ast::IfStmt &branch, SourceRange range);
    std::optional<Value> execute_for(const ast::ForStmt &loop, SourceRange range);
    void execute_guarded(const ast::IfStmt &branch, const Value &condition, SourceRange range);

    // calls.cpp
    Value call(const FunctionValue &function, std::vector<CallArgument> arguments, SourceRange range, bool piped);
    /// The first `waiting` parameters are not given by position.
    std::optional<std::vector<std::optional<Value>>> match_arguments(const FunctionValue &function, std::vector<CallArgument> &arguments,
                                                                     SourceRange range, size_t waiting);
    Value invoke(const FunctionValue &function, std::vector<std::optional<Value>> values, SourceRange range);
    Value call_body(const FunctionValue &function, SourceRange range);
    Value partial(const FunctionValue &function, const std::vector<std::optional<Value>> &values);
    bool complete(const FunctionValue &function, std::vector<std::optional<Value>> &values, SourceRange range);

    // unify.cpp
    void report_type(const ast::Name &name);
    std::optional<Value> check_type(const ast::TypeExpr &type, Value value, const std::string &what, SourceRange place);
    /// `dims` are those of the type, or those of the elements of `class[n][..]`.
    bool unify_dims(const ast::TypeExpr &type, const std::vector<ast::Dim> &dims, const TensorValue &tensor, const std::string &what, SourceRange place);
    std::optional<Value> dimension(const ast::Expr &expr);
    std::string constant_name(const ast::Expr &expr) const;
    std::optional<Shape> known_extents(const std::vector<ast::Dim> &dims, std::vector<SourceRange> *origins = nullptr);
    std::optional<Type> tensor_type(const ast::TypeExpr &type, std::vector<SourceRange> *origins);
    std::optional<DType> element_type(const ast::Name &name);

    // primitives.cpp, intrinsics.cpp
    Value call_primitive(const ast::Decl &decl, std::vector<std::optional<Value>> values, SourceRange range);
    Value emit_primitive(Op op, const std::vector<ast::Param> &params, const std::vector<std::optional<Value>> &values, SourceRange range);
    Value requirement(const Value &condition, const std::string &message, SourceRange range, bool must_be_known = true);
    std::optional<Value> call_intrinsic(const std::string &name, const std::vector<std::optional<Value>> &values, SourceRange range);

    // layers.cpp
    std::string instance_path(const FunctionValue &layer, SourceRange range);
    void execute_storage(const ast::StorageStmt &storage, SourceRange range);
    void execute_shared(const ast::SharedStmt &shared, SourceRange range);
    void initialize(const Storage &storage, const ast::Expr &init);
    int64_t next_stream();

    // model.cpp
    bool find_model(const ast::Module &file);
    void count_layers();
    void elaborate_model();
    void report_news(const Diagnostics &found);
    void elaborate_sample();
    void walk_model(GraphContext &context);
    Value model_input(const ast::Param &param, GraphContext &context);
    void add_loss(const Value &value, SourceRange range);
    void add_metric(const ast::MetricStmt &metric, SourceRange range);
    struct MetricValue { std::string name; std::vector<NodeId> means; };  ///< by sample: what the metric takes means of
    /// The mean of these over a split, as rules.report reads it.
    NodeId mean_over_split(MetricValue &metric, NodeId samples);
    void add_metric_samples(Graph &graph);
    void add_output(const std::string &name, const Value &value, SourceRange range);
    /// Depends on data, and its first dimension has the extent of a batch.
    bool is_of_samples(const TensorValue &tensor);
    std::optional<NodeId> per_sample(const Value &value, SourceRange range, const char *what);
    void finish_train(GraphContext &context);
    void finish_inference(GraphContext &context);
    void find_never_trained();
    void elaborate_trace(const GraphContext &context);
    void layout_storages();

    void start_walk();
    bool walk_quietly(GraphContext &inference);

    // generate.cpp
    void add_generation(const ast::GenerateStmt &statement, SourceRange range);

    // mix.cpp
    void elaborate_mixes();
    void elaborate_mix(const ast::BindStmt &setting);
    std::optional<MixPart> mix_part(const ast::Expr &term, double &share);
    bool pseudo_arguments(const ast::CallExpr &call, SourceRange range, MixPart &part);
    bool pseudo_threshold(const ast::Expr &expr, MixPart &part);
    void find_pseudo_label(SourceRange range);
    void mix_splits(const ast::BindStmt &setting, bool data_given, Phase &phase);
    bool reads_shares(const ast::BindStmt *mix) const;

    // augment.cpp
    void elaborate_augmentations();
    std::optional<std::vector<std::pair<std::string, Value>>> augmented_inputs(const FunctionValue &augmentation, SourceRange range);
    void find_masks_left(const std::vector<std::pair<std::string, Value>> &augmented, SourceRange range);
    void add_augmented(const std::string &name, const Value &value, SourceRange range);

    // scan.cpp
    void elaborate_scan(const Value &training);
    void scan_setting(const ast::BindStmt &setting);
    std::string whole_source(const ast::Module &file, std::set<const ast::Module *> &done, std::vector<Scan::Setting> *settings);
    void scan_metric(const ast::Expr &written);
    void finish_scan();
    void note_regularizers(const FunctionValue &function, const std::vector<std::optional<Value>> &values);

    // training.cpp, optimizer.cpp, optimizer_memory.cpp, schedule.cpp
    void elaborate_training();
    TrainSettings collect_settings(const ast::Block &block, bool phase);
    TrainSettings collect_quietly(const ast::Block &block, bool phase);
    std::vector<PhaseSettings> make_phases(const TrainSettings &train);
    void find_phases_without_gradients();
    void find_never_reached(const std::set<std::string> &reached);
    std::string training_split(const ast::Expr &expr);
    std::vector<std::string> frozen_paths(const ast::Expr &list);
    std::optional<FunctionValue> optimizer_of(const PhaseSettings &phase, const Value *rate, std::vector<FunctionValue> *wrappers = nullptr);
    /// What one run of an optimizer's hooks updates: a range of the arenas, or a parameter.
    struct Piece {
        std::string path, range;        ///< of the parameter, or of the arenas: "[0:2048]"; the other is empty
        std::string counter;            ///< see step_counter
        Cell param, gradient_cell;
        std::optional<Value> gradient;  ///< as the wrappers leave it
        Cell state(const std::string &name) const;
        Cell touched() const;  ///< bool: the elements in rows that the step looked up
    };
    void elaborate_updates(const std::vector<PhaseSettings> &phases);
    std::optional<Graph> update_graph(const std::vector<PhaseSettings> &phases, size_t index, const std::string &name, bool flat, bool counted = false);
    std::vector<Piece> pieces_of(const std::vector<PhaseSettings> &phases, size_t index, const FunctionValue &optimizer, bool flat, bool counted);
    void run_update_hook(const ast::HookStmt &hook, const Piece &piece);
    bool bind_wrappers(const std::vector<FunctionValue> &wrappers, std::vector<Wrapper> &bound, SourceRange range);
    void pass_through(const Wrapper &wrapper, std::vector<Piece> &pieces, bool flat);
    Value wrapped_gradient(const Wrapper &wrapper, const Value &gradient);
    void run_wrapper_hook(const Wrapper &wrapper, const std::string &name, const Cell &param);
    void run_before_step(const ast::HookStmt &hook);
    void find_optimizers(const std::vector<PhaseSettings> &phases);
    std::string step_counter(const std::vector<PhaseSettings> &phases, const FunctionValue &optimizer, const std::string &path);
    Value counted_step();
    std::string state_name(const FunctionValue &optimizer, const std::string &name) const;
    void declare_state(const FunctionValue &optimizer);
    bool needs_whole_parameters(const GraphContext &context, const std::set<int32_t> &whole) const;
    Value whole_gradient(GraphContext &context, const PhaseSettings &phase, std::set<int32_t> &whole);
    void elaborate_rules(const std::vector<PhaseSettings> &phases);
    Value rate_of(const PhaseSettings &phase);
    Value base_rate(const PhaseSettings &phase);
    Value given_rate(const PhaseSettings &phase);
    Value momentum_of(const PhaseSettings &phase);
    Value by_phase(const std::vector<PhaseSettings> &phases, Value (Elaborator::*of)(const PhaseSettings &));
    Value anew(const std::string &name, double initial, SourceRange range);
    void begin_anew(const ScheduleValue &schedule);
    void anneal(const ScheduleValue &schedule, const Value &rate, std::optional<Value> active);
    Value rate_factor();
    void only_if(const Value &active, const std::map<std::string, NodeId> &before, SourceRange range);
    void check_rule(const FunctionValue &rule, SourceRange range);
    Value apply_schedule(const ScheduleValue &schedule, const Value &rate);
    std::optional<Value> duration(const ScheduleValue &schedule);
    // hooks.cpp
    bool bind_definition(const FunctionValue &definition, SourceRange range);
    void run_hook_body(const ast::HookStmt &hook);
    void declare_global(const std::string &name, double initial);
    Value statistic(NodeId node);
    void append_statistics(GraphContext &context);
    void run_epoch_end(const FunctionValue &definition, const Value &rate, SourceRange range);
    void epoch_rules(const std::vector<PhaseSettings> &phases);

    // index_notation.cpp, index_ranges.cpp, index_emit.cpp: the bodies of `op` definitions
    Value call_op(const FunctionValue &function, SourceRange range);
    void execute_indexed(const ast::IndexStmt &statement, SourceRange range);
    Value evaluate_reduction(const ast::ReduceExpr &reduce, SourceRange range);
    Value read_indexed(const TensorValue &tensor, const ast::IndexExpr &index, SourceRange range);
    void add_guards(const ast::Expr &condition);
    std::optional<Value> index_arithmetic(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range);
    Value in_body(const Value &value, SourceRange range);
    Value call_from_op(const FunctionValue &function, std::vector<CallArgument> arguments, SourceRange range, bool piped);
    GraphContext *surroundings() const;
    int declare_index(const ast::Name &name);
    void finish_body(Nest &nest, Value value, SourceRange range);
    bool find_ranges(IndexedStatement &statement);
    bool find_ellipsis(IndexedStatement &statement);
    bool check_reads(const IndexedStatement &statement);
    void emit_statement(IndexedStatement &statement);
    void report_undefined_element(const OpFrame &frame, const std::string &name);

    // data.cpp
    void elaborate_data(const ast::TrainDecl &train);
    std::optional<ReaderValue> reader_value(const Value &value);
    std::vector<std::pair<std::string, ReaderValue>> reader_arguments(const ReaderCall &call);
    void declare_vocabulary(const ast::Name &name, const ReaderCall &call);
    void match_inputs(const ReaderCall &call, const std::string &split, SourceRange range, const std::set<std::string> &read_columns, bool part);

    template <typename F> auto in_scope(std::shared_ptr<Scope> scope, F &&body);
    template <typename F> auto in_context(GraphContext &context, F &&body);
    /// What `body` reports, of which nobody is told.
    template <typename F> Diagnostics unreported(F &&body);

    SourceMap &sources_;
    const ElaborateOptions &options_;
    Diagnostics *diagnostics_;
    Module module_;

    std::vector<std::unique_ptr<ast::Module>> trees_;       ///< of the stdlib, of imported files and of lists after -D
    std::map<std::string, const SourceFile *> imported_;     ///< by the name that an `import` leads to; null: not readable
    std::set<std::string> used_defines_;
    std::shared_ptr<Scope> prelude_, file_scope_, scope_;
    std::set<const SourceFile *> stdlib_files_;

    struct Frame { SourceRange call; const SourceFile *file; std::string name; };
    std::vector<Frame> frames_;                              ///< calls of definitions under way, outermost first
    SourceRange text_argument_;                              ///< the last argument to a parameter that is text unless given
    int evaluations_ = 0;
    int reports_ = 0;                                        ///< errors so far, those of an earlier walk included
    std::set<std::pair<const SourceFile *, uint32_t>> used_; ///< declarations that were read
    struct Local { ast::Name name; SourceRange hides; };
    std::map<std::pair<const SourceFile *, uint32_t>, Local> locals_;  ///< names bound in the user's blocks, and what each hides

    GraphContext *context_ = nullptr;
    OpFrame *op_ = nullptr;                                   ///< the call of an `op` whose statements are executed
    std::unique_ptr<GraphContext> init_, report_;
    std::string path_, stream_path_;
    std::map<std::string, std::vector<std::pair<SourceRange, int>>> instances_;  ///< numbering of layers below each path
    std::map<std::pair<std::string, uint64_t>, int> visits_;  ///< calls of one place below one path, in this walk
    std::map<std::string, SourceRange> storage_places_;
    std::set<std::string> initialized_;

    const ast::Decl *model_ = nullptr;
    const ast::Decl *train_ = nullptr;
    const ast::Decl *scan_ = nullptr;
    const ast::Module *main_file_ = nullptr;
    std::set<std::string> regularizers_;                      ///< hypers, if there is a scan
    std::vector<std::pair<Value, SourceRange>> losses_;
    std::vector<MetricValue> metrics_;
    std::vector<Result> outputs_;
    std::optional<Result> generation_;                        ///< see generate.cpp
    std::map<int32_t, std::string> named_values_;             ///< tensors that the model's own statements name
    MetricValue *metric_ = nullptr;                           ///< that is being evaluated

    std::vector<const ast::Decl *> optimizers_;               ///< by phase; null where the setting is wrong
    std::map<std::pair<const ast::Decl *, std::vector<bool>>, std::string> counters_;  ///< by optimizer and the phases in which it has updated
    std::string counter_;                                     ///< of what is being updated
    bool step_asked_ = false;
    std::map<std::string, Value> counts_;                     ///< `step` by counter, in the update under way
    std::set<std::string> shared_state_names_;                ///< states of several optimizers: of one, they have the optimizer's name before theirs
    std::set<std::string> requirements_;                      ///< those in rules.require, message and condition
    int phase_ = -1;                                          ///< whose rate is elaborated
    int64_t calls_made_ = 0;                                  ///< in this walk
    int64_t turns_made_ = 0;                                  ///< of compile-time loops, in this walk
    bool parameters_asked_ = false;                           ///< the model calls parameters()
    std::vector<Storage> known_params_;                       ///< what it gives: all of the model's, if it was asked
    bool in_update_hook_ = false;                             ///< `update` or `update_rows` is elaborated, for one piece of the parameters
    std::string updating_;                                    ///< the path of the parameter that an optimizer updates alone; else empty
    struct SoftLabel { int64_t classes; Shape shape; };       ///< shape: of a sample's labels
    std::map<std::string, SoftLabel> soft_labels_;            ///< inputs that are shares of their classes while training
    std::map<const ast::BindStmt *, Mix> mixes_;              ///< by setting
    int64_t pseudo_classes_ = 0;                              ///< of the label that pseudo-labels are for
    bool raw_shares_ = false;                                 ///< augmenting batches whose label are shares already
    std::map<std::string, SourceRange> split_places_;         ///< where splits are declared
    bool per_sample_ = false;                                 ///< types of tensors are written without the batch

    std::map<std::string, Value> begins_anew_;                ///< globals of schedules in a step of several phases
    std::map<std::string, Value> clock_;                      ///< phase_step, phase_steps, progress under `then`
    std::optional<Cell> touched_;                             ///< in `update_rows`: which elements of the parameter it applies to
    std::optional<Value> gradient_;                           ///< what `grad` means here
    std::unique_ptr<GraphContext> statistics_graph_;          ///< what rules compute from `grad`
    std::vector<std::pair<std::string, NodeId>> statistics_;  ///< its results that rules read: global, node
    std::vector<std::pair<Binding *, Value>> *local_writes_ = nullptr;  ///< old values, inside a branch taken at run time
};

/// Whether a definition has hooks that run at the end of an epoch or before a step.
bool has_memory(const FunctionValue &definition);
/// What an optimizer or a schedule declares of this kind, in order.
std::vector<const ast::StorageStmt *> storages_of(const FunctionValue &definition, ast::StorageStmt::Kind kind);
bool has_memory(const ScheduleValue &schedule);
/// Whether a value is an `augment` definition, perhaps with arguments.
bool is_augmentation(const Value &value);
/// "BatchNorm" -> "batch_norm".
std::string snake_case(const std::string &name);
/// The text of a type as it was written.
std::string source_text(SourceRange range);

template <typename F> auto Elaborator::in_scope(std::shared_ptr<Scope> scope, F &&body) {
    struct Restore {
        std::shared_ptr<Scope> &place, old;
        ~Restore() { place = old; }
    } restore{scope_, scope_};
    scope_ = std::move(scope);
    return body();
}

template <typename F> auto Elaborator::in_context(GraphContext &context, F &&body) {
    struct Restore {
        GraphContext *&place, *old;
        ~Restore() { place = old; }
    } restore{context_, context_};
    context_ = &context;
    return body();
}

template <typename F> Diagnostics Elaborator::unreported(F &&body) {
    Diagnostics found, *told = std::exchange(diagnostics_, &found);
    body();
    diagnostics_ = told;
    return found;
}

template <typename Build> Value Elaborator::build(const std::vector<Value> &operands, SourceRange range, Build &&make) {
    for (const Value &operand : operands)
        if (operand.poison()) return {};
    GraphContext *context = context_of(operands, range);
    if (!context) return {};
    context->builder.set_loc(to_loc(user_range(range)));
    context->builder.set_scope(path_);
    try {
        int32_t before = context->graph.size();
        NodeId result = make(*context);
        for (int32_t i = before; i < context->graph.size(); ++i)
            note_origins(*context, NodeId{i}, context->graph[NodeId{i}].operands, range);
        return Value(TensorValue{result, context}, range);
    } catch (const BuildError &error) {
        Diagnostic &diagnostic = report(DiagnosticCode::shapes_do_not_fit, range, {error.message});
        label_shapes(diagnostic, operands);
        return {};
    }
}

}  // namespace kiln
