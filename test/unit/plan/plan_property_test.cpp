// Random modules: the plan is sound, and running it gives the bits of the interpreted graph, at every optimization level. The optimized
// graph means the same as the original up to rounding, since factors move across sums.
#include "compiler/ir/text.h"
#include "compiler/passes/pipeline.h"
#include "compiler/plan/verify_plan.h"
#include "test/unit/plan/execute.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

struct Case {
    uint32_t seed;
    int level;
};

void check_same(const Tensor &expected, const Tensor &actual, const std::string &what) {
    ASSERT_EQ(expected.type, actual.type) << what;
    for (size_t i = 0; i < expected.values.size(); ++i) {
        if (std::isnan(expected.values[i]) && std::isnan(actual.values[i])) continue;
        ASSERT_EQ(expected.values[i], actual.values[i]) << what << " element " << i;
    }
}

void check_near(const Tensor &expected, const Tensor &actual, const std::string &what) {
    ASSERT_EQ(expected.type, actual.type) << what;
    for (size_t i = 0; i < expected.values.size(); ++i) {
        const double a = expected.values[i], b = actual.values[i];
        if ((std::isnan(a) && std::isnan(b)) || a == b) continue;
        ASSERT_NEAR(a, b, 1e-5 * std::max(1.0, std::abs(a))) << what << " element " << i;
    }
}

void check_module(Module module, int level, int64_t least_shared_bytes = kLeastSharedBytes) {
    const Graph original = module.graphs.at("train");
    module.graphs["train"] = optimize(original, level);
    const Plan plan = make_plan(module, least_shared_bytes);
    const std::string listing = print(module) + print(plan);
    EXPECT_EQ(verify_plan(plan), std::vector<std::string>()) << listing;

    testing::PlanExecution execution(module, plan);
    const Program &program = plan.programs.at(0);
    execution.run(program);
    const std::vector<Tensor> expected = interpret(module.graphs.at("train"), testing::input_value);
    const std::vector<Tensor> meant = interpret(original, testing::input_value);
    ASSERT_EQ(expected.size(), meant.size());
    for (size_t i = 0; i < expected.size(); ++i) check_near(meant[i], expected[i], original.results[i].name);
    for (size_t i = 0; i < original.results.size(); ++i) {
        const Result &result = original.results[i];
        SCOPED_TRACE(listing);
        switch (result.kind) {
            case ResultKind::loss:
            case ResultKind::scalar:
                for (const ScalarResult &scalar : program.scalar_results)
                    if (scalar.name == (result.kind == ResultKind::loss ? "loss" : result.name)) check_same(expected[i], execution.scalar(scalar), scalar.name);
                break;
            case ResultKind::output: check_same(expected[i], execution.read(plan[program.outputs.at(result.name)]), result.name); break;
            case ResultKind::store: {
                const bool gradient = result.name.starts_with("gradient:");
                const Storage &storage = *module.find_storage(gradient ? result.name.substr(9) : result.name);
                const Buffer buffer{.arena = gradient ? "gradient" : storage.arena, .offset = storage.offset * 4, .type = storage.type};
                check_same(expected[i], execution.read(buffer), result.name);
                break;
            }
            case ResultKind::sample:
            case ResultKind::value: FAIL();
        }
        if (::testing::Test::HasFailure()) return;
    }
}

TEST(PlanProperty, RunsAsTheGraphMeans) {
    for (uint32_t seed = 0; seed < 400; ++seed)
        for (int level : {0, 2}) {
            SCOPED_TRACE(testing::random_module(seed).graphs.at("train").nodes.size());
            check_module(testing::random_module(seed), level);
            check_module(testing::random_module(seed), level, 0);
            ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " level " << level;
        }
}

TEST(PlanProperty, PiecesLieWhereTheGraphMeans) {
    for (uint32_t seed = 0; seed < 500; ++seed)
        for (int level : {0, 2}) {
            check_module(testing::random_pieces_module(seed), level);
            check_module(testing::random_pieces_module(seed), level, 0);
            ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " level " << level;
        }
}

}  // namespace
}  // namespace kiln
