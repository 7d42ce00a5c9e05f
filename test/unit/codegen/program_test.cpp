// A plan made by hand, with kernels in C: what train_step, eval_step and the tables do with it.
#include "compiler/ops/builder.h"
#include "executable.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

constexpr int kBatch = 4;

NodeId tensor_argument(Builder &b, Type type) { return b.input(InputKind::argument, "x", std::move(type)); }
NodeId scalar_argument(Builder &b, DType dtype) { return b.input(InputKind::argument, "scalar", {dtype, {}}); }

/// y = w x by gradient descent on one weight: train computes errors, loss and gradient; update subtracts rate * gradient.
struct Example {
    Module module;
    Plan plan;

    Example() {
        module.name = "Line";
        module.source_name = "line.model";
        module.batch = kBatch;
        module.columns = {{"x", {DType::f32, {}}, 0, {}}, {"label", {DType::i32, {}}, 3, {}}};
        module.storages = {{"Line/w", StorageKind::param, {DType::f32, {}}, "param", 16, {}}};
        module.phases = {{"first", 1, {}}, {"second", 2, {}}};
        module.metrics = {{"rmse", false}};
        module.hypers = {{"lr", ScalarKind::real, 0.25, "the rate", {}}};
        module.globals = {{"seen", 7}};

        plan.arenas = {{"work", 256}, {"param", 128}, {"constant", 64}};
        plan.constants.assign(64, 0);
        plan.constants[0] = 42;
        plan.buffers = {buffer("data:x", 0, {DType::f32, {kBatch}}),    buffer("data:label", 0, {DType::i32, {kBatch}}), buffer("param", 64, {DType::f32, {}}),
                        buffer("work", 0, {DType::f32, {}}),            buffer("work", 64, {DType::f32, {kBatch}}),      buffer("work", 128, {DType::f32, {}}),
                        buffer("constant", 0, {DType::u8, {2, 3, 4}})};

        {   // k_forward(x, label, w, scalar flag, constant) -> loss, squares, gradient
            Kernel kernel{"k_forward", "elementwise", {}, {}, 0};
            Builder b(kernel.body);
            NodeId first = tensor_argument(b, plan.buffers[0].type);
            tensor_argument(b, plan.buffers[1].type);
            tensor_argument(b, plan.buffers[2].type);
            scalar_argument(b, DType::boolean);
            tensor_argument(b, plan.buffers[6].type);
            kernel.body.results = {{ResultKind::value, "", first}, {ResultKind::value, "", first}, {ResultKind::value, "", first}};
            plan.kernels.push_back(kernel);
        }
        {   // k_update(w, scalar rate, gradient) -> w
            Kernel kernel{"k_update", "elementwise", {}, {}, 0};
            Builder b(kernel.body);
            NodeId first = tensor_argument(b, plan.buffers[2].type);
            scalar_argument(b, DType::f32);
            tensor_argument(b, plan.buffers[5].type);
            kernel.body.results = {{ResultKind::value, "", first}};
            plan.kernels.push_back(kernel);
        }

        Program train;
        train.name = "train";
        Builder b(train.scalars);
        NodeId flag = b.append(Op::less, {b.constant(0, {DType::f64, {}}), b.input(InputKind::scalar, "lr", {DType::f64, {}})});
        train.calls.push_back({{0}, ids({0, 1, 2, -1, 6}), {{}, {}, {}, flag, {}}, ids({3, 4, 5}), {"line.model", 12, 5}, "Line"});
        train.commit = 1;
        train.scalar_results = {{ResultKind::loss, "loss", {3}, {}}};
        train.samples = {{"rmse", {4}}};
        plan.programs.push_back(train);
        for (int phase : {0, 1}) {
            Program update;
            update.name = phase == 0 ? "update" : "update.1";
            Builder u(update.scalars);
            NodeId rate = u.cast(u.input(InputKind::scalar, "rate", {DType::f64, {}}), DType::f32);
            if (phase == 1) rate = u.multiply(rate, u.constant(10, {DType::f32, {}}));
            NodeId seen = u.add(u.input(InputKind::scalar, "seen", {DType::f64, {}}), u.constant(1, {DType::f64, {}}));
            update.calls.push_back({{1}, ids({2, -1, 5}), {{}, rate, {}}, ids({2}), {}, ""});
            update.scalar_results = {{ResultKind::scalar, "seen", {}, seen}};
            plan.programs.push_back(update);
        }
        Program evaluate = train;
        evaluate.name = "evaluate";
        evaluate.scalar_results.clear();
        evaluate.samples = {{"rmse", {4}}, {"loss", {3}}};
        plan.programs.push_back(evaluate);

        Graph step;
        step.name = "rules.step";
        Builder s(step);
        step.results = {{ResultKind::scalar, "rate", s.input(InputKind::scalar, "lr", {DType::f64, {}})}};
        Graph report;
        report.name = "rules.report";
        Builder r(report);
        report.results = {{ResultKind::scalar, "rmse", r.append(Op::sqrt, {r.input(InputKind::scalar, "mean:rmse", {DType::f64, {}})})}};
        plan.rules = {{"rules.step", step}, {"rules.report", report}};
    }

    static Buffer buffer(std::string arena, int64_t offset, Type type) {
        Buffer result;
        result.arena = std::move(arena);
        result.offset = offset;
        result.type = std::move(type);
        return result;
    }
    static std::vector<BufferId> ids(const std::vector<int> &indexes) {
        std::vector<BufferId> result;
        for (int i : indexes) result.push_back({i});
        return result;
    }
};

constexpr const char *kStub = R"(
int k_forward(Buffer *x, Buffer *label, Buffer *w, uint8_t flag, Buffer *constant, Buffer *loss, Buffer *squares, Buffer *gradient) {
    float total = 0, slope = 0;
    for (int i = 0; i < 4; i++) {
        float xi = ((float *)x->host)[i], error = *(float *)w->host * xi - ((int32_t *)label->host)[i];
        ((float *)squares->host)[i] = error * error;
        total += error * error;
        slope += 2 * error * xi;
    }
    *(float *)loss->host = total / 4;
    *(float *)gradient->host = slope / 4;
    static int once;
    if (!once++) {
        printf("flag %d constant %d, x: %d dimensions of %d, %d bits, kind %d\n", flag, *(uint8_t *)constant->host, x->dimensions, x->dim[0].extent, x->bits, x->code);
        printf("constant: %d dimensions %dx%dx%d strides %d %d %d; w: %d dimensions\n", constant->dimensions, constant->dim[0].extent, constant->dim[1].extent,
               constant->dim[2].extent, constant->dim[0].stride, constant->dim[1].stride, constant->dim[2].stride, w->dimensions);
    }
    return 0;
}
int k_update(Buffer *w, float rate, Buffer *gradient, Buffer *result) {
    *(float *)result->host = *(float *)w->host - rate * *(float *)gradient->host;
    return 0;
}
int64_t marks[8];
void kiln_mark(KilnContext *context) { *context->marks++ = 7; }
int kiln_main(int argc, char **argv, const KilnProgram *program) {
    static _Alignas(64) uint8_t work[256], param[128], constant[64];
    uint8_t *arenas[] = {work, param, constant};
    static float x[4] = {1, 2, 0.5f, -1};
    static int32_t label[4] = {2, 2, 0, 1};
    const void *columns[] = {x, label};
    double scalars[16] = {0}, sums[2] = {0}, means[2] = {0.5, 9}, reported[2];
    constant[0] = program->constants[0];
    scalars[11] = 0.25;
    scalars[12] = 7;
    KilnContext context = {arenas, columns, scalars, sums};
    program->bind(&context);
    program->init(&context);
    printf("metadata %s\n", program->metadata);
    program->step_rule(&context, 0);
    printf("status %d\n", program->train_step(&context, 0));
    printf("w %g loss %g rate %g seen %g sums %g %g\n", *(float *)(param + 64), scalars[9], scalars[8], scalars[12], sums[0], sums[1]);
    *(float *)(param + 64) = 0;
    printf("status %d\n", program->train_step(&context, 1));
    printf("w %g seen %g\n", *(float *)(param + 64), scalars[12]);
    *(float *)(param + 64) = 0;
    sums[0] = sums[1] = 0;
    program->eval_step(&context, 3);
    printf("sums %g %g\n", sums[0], sums[1]);
    context.marks = marks;
    program->eval_step(&context, 3);
    printf("marks %d %d %d\n", (int)(context.marks - marks), (int)marks[1], (int)marks[2]);
    context.marks = 0;
    x[1] = NAN;
    sums[0] = sums[1] = 0;
    printf("status %d", program->train_step(&context, 0));
    printf(" w %g seen %g sums %g %g\n", *(float *)(param + 64), scalars[12], sums[0], sums[1]);
    program->report(means, reported);
    printf("reported %g %g\n", reported[0], reported[1]);
    printf("predict %p\n", (void *)program->predict_step);
    return 0;
}
)";

class ProgramTest : public testing::TestWithParam<int> {};

TEST_P(ProgramTest, TrainsEvaluatesAndReports) {
    Example example;
    std::string output = run_with(emit_program(example.module, example.plan, {"native", GetParam()}), kStub);
    auto has = [&](const std::string &line) { EXPECT_NE(output.find(line + "\n"), std::string::npos) << "no line " << line << " in\n" << output; };
    has("flag 1 constant 42, x: 1 dimensions of 4, 32 bits, kind 2");
    has("constant: 3 dimensions 4x3x2 strides 1 4 12; w: 0 dimensions");
    // w = 0: errors -2 -2 0 -1, loss 9/4, gradient 2 (-2 - 4 + 1) / 4 = -2.5; w = 0.25 * 2.5.
    has("status 0\nw 0.625 loss 2.25 rate 0.25 seen 8 sums 9 9");
    has("status 0\nw 6.25 seen 9");  // the second phase has an update of its own
    has("sums 6.75 8");              // 3 times the rank-0 loss; the first three squares
    has("marks 2 7 0");              // before and after the one kernel
    has("status 1 w 0 seen 9 sums 0 0");
    has("reported 0.5 3");
    has("predict (nil)");
}
INSTANTIATE_TEST_SUITE_P(EveryLevel, ProgramTest, testing::Range(0, 4), [](const auto &info) { return "O" + std::to_string(info.param); });

TEST(Metadata, NamesWhatTheCodeUses) {
    Example example;
    auto json = nlohmann::json::parse(program_metadata(example.module, example.plan, {}));
    EXPECT_EQ(json["scalars"][11], "lr");
    EXPECT_EQ(json["scalars"][12], "seen");
    EXPECT_EQ(json["hypers"][0]["scalar"], 11);
    EXPECT_EQ(json["hypers"][0]["default"], 0.25);
    EXPECT_EQ(json["storages"][0]["offset"], 64);
    EXPECT_EQ(json["storages"][0]["arena"], 1);
    EXPECT_EQ(json["samples"], (nlohmann::json{"loss", "rmse"}));
    EXPECT_EQ(json["train_samples"], (nlohmann::json{"loss", "rmse"}));
    EXPECT_EQ(json["phases"][1]["epochs"], 2);
    // Phases with updates of their own have profiles of their own.
    EXPECT_EQ(json["profiles"].size(), 3u);
    EXPECT_EQ(json["profiles"][0]["program"], "train");
    EXPECT_EQ(json["profiles"][0]["phases"], (nlohmann::json{0}));
    EXPECT_EQ(json["profiles"][0]["calls"].size(), 2u);
    EXPECT_EQ(json["profiles"][0]["calls"][0]["at"], "line.model:12:5");
    EXPECT_EQ(json["profiles"][0]["calls"][0]["in"], "Line");
    EXPECT_EQ(json["profiles"][2]["program"], "evaluate");
    EXPECT_EQ(json["columns"][1]["classes"], 3);
}

TEST(Metadata, InfinityIsTheLargestNumber) {
    Example example;
    example.module.globals[0].initial_value = -std::numeric_limits<double>::infinity();
    auto json = nlohmann::json::parse(program_metadata(example.module, example.plan, {}));
    EXPECT_EQ(json["globals"][0]["initial"], std::numeric_limits<double>::lowest());
}

TEST(EmitProgram, IsReproducible) {
    Example example;
    auto a = emit_program(example.module, example.plan, {"x86-64-v3", 2}), b = emit_program(example.module, example.plan, {"x86-64-v3", 2});
    EXPECT_EQ(a.object, b.object);
    EXPECT_EQ(a.llvm_text, b.llvm_text);
}

TEST(EmitProgram, CallsCarryPlacesOfTheModel) {
    Example example;
    auto program = emit_program(example.module, example.plan, {"native", 0, true});
    EXPECT_NE(program.llvm_text.find("!DILocation(line: 12, column: 5"), std::string::npos);
    EXPECT_NE(program.assembly.find(".loc\t1 12 5"), std::string::npos) << program.assembly;
}

}  // namespace
}  // namespace kiln
