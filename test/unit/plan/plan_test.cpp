// Plans of whole steps, and stores that may not simply overwrite what they read.
#include "compiler/ir/text.h"
#include "compiler/passes/pipeline.h"
#include "compiler/plan/layout.h"
#include "compiler/plan/verify_plan.h"
#include "test/property/networks.h"
#include "test/unit/plan/execute.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Plan, TheDigitsStepIsSound) {
    Module module = testing::digits(8);
    for (int level : {0, 2}) {
        Module copy = module;
        copy.graphs["train"] = optimize(module.graphs.at("train"), level);
        const Plan plan = make_plan(copy);
        EXPECT_EQ(verify_plan(plan), std::vector<std::string>());
        EXPECT_EQ(plan.programs.at(0).scalar_results.at(0).name, "loss");
        int64_t bytes = 0;
        for (const Arena &arena : plan.arenas) bytes += arena.bytes;
        EXPECT_EQ(plan.peak_bytes, bytes);
        if (level > 0) {
            EXPECT_LE(plan.programs.at(0).calls.size(), 37u);
            // The convolutions and products, forward and backward, are 3 x 2 M N K each but for rounding by the rest.
            EXPECT_GT(plan.flops_per_sample, 60'000'000);
            EXPECT_LT(plan.flops_per_sample, 65'000'000);
        }
    }
}

TEST(Plan, SwappedStoragesGoThroughTheWorkArena) {
    testing::Network n(1);
    const NodeId a = n.storage(StorageKind::buffer, "a", {4}), b = n.storage(StorageKind::buffer, "b", {4});
    n.store("a", b);
    n.store("b", a);
    const Module module = n.done();
    const Plan plan = make_plan(module);
    EXPECT_EQ(verify_plan(plan), std::vector<std::string>()) << print(plan);
    EXPECT_EQ(plan.programs.at(0).calls.size(), 3u);
    testing::PlanExecution execution(module, plan);
    auto read = [&](int64_t offset) { return execution.read({.arena = "buffer", .offset = offset * 4, .type = {DType::f32, {4}}}).values; };
    const auto old_a = read(0), old_b = read(16);
    ASSERT_NE(old_a, old_b);
    execution.run(plan.programs.at(0));
    EXPECT_EQ(read(0), old_b);
    EXPECT_EQ(read(16), old_a);
}

TEST(Plan, StorageThatBeginsAsZerosIsNotWritten) {
    testing::Network n(1);
    const Type type{DType::f32, {4}};
    for (const auto &[name, value] : {std::pair("zero", 0.0), std::pair("minus zero", -0.0), std::pair("one", 1.0)}) {
        n.storage(StorageKind::buffer, name, type.shape);
        n.store(name, n.b().constant(value, type));
    }
    Module module = n.done();
    module.graphs["init"] = module.graphs.at("train");
    module.graphs["init"].name = "init";
    const Plan plan = make_plan(module);
    EXPECT_EQ(verify_plan(plan), std::vector<std::string>()) << print(plan);
    std::map<std::string, std::vector<int64_t>> written;
    for (const Program &program : plan.programs)
        for (const Call &call : program.calls) written[program.name].push_back(plan[call.outputs[0]].offset);
    EXPECT_EQ(written["init"], (std::vector<int64_t>{64, 128}));
    EXPECT_EQ(written["train"], (std::vector<int64_t>{0, 64, 128}));
}

TEST(Plan, EqualBodiesAreOneKernel) {
    testing::Network n(2);
    const NodeId x = n.column("x", {8});
    n.result(ResultKind::output, "y", n.dense(n.dense(x, "dense_1", 8), "dense_2", 8));
    Module module = n.done();
    module.graphs["train"] = optimize(module.graphs.at("train"), 2);
    const Plan plan = make_plan(module);
    EXPECT_EQ(plan.kernels.size(), 1u);
    EXPECT_EQ(plan.programs.at(0).calls.size(), 2u);
}

TEST(Plan, ResultsTakeThePlaceOfArgumentsNobodyReadsLater) {
    testing::Network n(1);
    Builder &b = n.b();
    const NodeId x = n.column("x", {64});
    auto sum = [&](NodeId value) { return b.reduce(Op::reduce_sum, value, {0, 1}); };
    // Each sum ends a kernel: `first` is read by one and by the kernel of `second`, which is read by one and by that of `third`.
    const NodeId first = b.append(Op::exp, {x}), one = sum(first);
    const NodeId second = b.append(Op::exp, {b.elementwise(Op::add, {first, one})}), two = sum(second);
    const NodeId third = b.append(Op::exp, {b.add(second, b.elementwise(Op::add, {first, two}))});
    n.result(ResultKind::output, "y", third);
    n.result(ResultKind::output, "sum", sum(third));
    Module module = n.done();
    module.graphs["train"] = optimize(module.graphs.at("train"), 0);
    auto in_place = [&](const Plan &plan) {
        std::vector<std::string> found;
        for (const Call &call : plan.programs.at(0).calls)
            for (size_t i = 0; i < call.outputs.size(); ++i)
                if (plan[call.kernel].in_place[i] >= 0) found.push_back(plan[call.outputs[i]].label);
        return found;
    };
    EXPECT_EQ(in_place(make_plan(module)), std::vector<std::string>());
    const Plan plan = make_plan(module, 256);
    EXPECT_EQ(verify_plan(plan), std::vector<std::string>()) << print(plan);
    EXPECT_GT(in_place(plan).size(), 0u) << print(plan);
    EXPECT_LT(plan.peak_bytes, make_plan(module).peak_bytes);
}

TEST(Layout, LifetimesThatDoNotMeetShareBytes) {
    std::vector<Allocation> a{{100, 0, 1, 0}, {60, 2, 3, 0}, {64, 1, 2, 0}};
    EXPECT_EQ(assign_offsets(a), 192);
    EXPECT_EQ(a[1].offset, 0);
    EXPECT_EQ(a[2].offset, 128);
}

}  // namespace
}  // namespace kiln
