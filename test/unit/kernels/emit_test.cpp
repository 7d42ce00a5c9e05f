// Objects: reproducible, cached, and free of register spills where speed depends on it.
#include "compiler/kernels/emit_kernels.h"
#include "compiler/ops/builder.h"
#include "test/unit/kernels/kernel_case.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <unistd.h>

namespace kiln {
namespace {

Kernel convolution_kernel() {
    Graph g;
    Builder b(g);
    NodeId x = b.input(InputKind::argument, "x", {DType::f32, {64, 26, 26, 32}}), w = b.input(InputKind::argument, "w", {DType::f32, {3, 3, 32, 32}});
    NodeId y = b.append(Op::conv2d, {x, w}, ConvAttrs{});
    g.results.push_back({ResultKind::value, "", b.append(Op::maximum, {y, b.constant(0, b.type(y))})});
    return kernel_of(g, "convolution");
}
Kernel matmul_kernel() {
    Graph g;
    Builder b(g);
    NodeId x = b.input(InputKind::argument, "x", {DType::f32, {64, 784}}), w = b.input(InputKind::argument, "w", {DType::f32, {784, 512}});
    g.results.push_back({ResultKind::value, "", b.matmul(x, w)});
    return kernel_of(g, "product");
}
Kernel reduction_kernel(int64_t n) {
    Graph g;
    Builder b(g);
    NodeId x = b.input(InputKind::argument, "x", {DType::f32, {n, 64}});
    g.results.push_back({ResultKind::value, "", b.reduce(Op::reduce_sum, x, {0, 1})});
    return kernel_of(g, "sum_" + std::to_string(n));
}

std::vector<ObjectFile> emit(std::vector<Kernel> kernels, int jobs, std::string cache = "") {
    Plan plan;
    plan.kernels = std::move(kernels);
    return emit_kernels(plan, {.target = "x86-64-v3", .debug_checks = false, .cache_folder = std::move(cache), .jobs = jobs});
}

TEST(Emit, SameBytesInAnyOrderOnAnyNumberOfJobs) {
    const auto first = emit({convolution_kernel(), matmul_kernel(), reduction_kernel(5000)}, 1);
    const auto second = emit({reduction_kernel(5000), reduction_kernel(77), convolution_kernel(), matmul_kernel()}, 4);
    EXPECT_EQ(first[0].bytes, second[2].bytes);
    EXPECT_EQ(first[1].bytes, second[3].bytes);
    EXPECT_EQ(first[2].bytes, second[0].bytes);
}

class Cache : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/kiln_cache_XXXXXX";
        ASSERT_TRUE(mkdtemp(name));
        folder = std::string(name) + "/made/when/needed";
        root = name;
    }
    void TearDown() override { std::filesystem::remove_all(root); }
    std::filesystem::path only_entry() const {
        std::vector<std::filesystem::path> entries;
        for (const auto &entry : std::filesystem::directory_iterator(folder)) entries.push_back(entry.path());
        EXPECT_EQ(entries.size(), 1u);
        return entries.at(0);
    }
    std::string folder, root;
};

TEST_F(Cache, EntriesAreUsed) {
    const auto first = emit({reduction_kernel(100)}, 1, folder);
    // An entry made to differ with a right checksum would be used; here its time of writing tells that it was not written again.
    const auto written = std::filesystem::last_write_time(only_entry());
    std::filesystem::last_write_time(only_entry(), written - std::chrono::hours(1));
    EXPECT_EQ(emit({reduction_kernel(100)}, 1, folder)[0].bytes, first[0].bytes);
    EXPECT_EQ(std::filesystem::last_write_time(only_entry()), written - std::chrono::hours(1));
}

TEST_F(Cache, DamagedEntriesAreMadeAnew) {
    const auto first = emit({reduction_kernel(100)}, 1, folder);
    const auto path = only_entry();
    const auto size = std::filesystem::file_size(path);
    for (int damage = 0; damage < 3; damage++) {
        if (damage == 0) std::filesystem::resize_file(path, size / 2);
        if (damage == 1) std::filesystem::resize_file(path, 0);
        if (damage == 2) {
            std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(long(size) - 5);
            file.put('!');
        }
        EXPECT_EQ(emit({reduction_kernel(100)}, 1, folder)[0].bytes, first[0].bytes);
        EXPECT_EQ(std::filesystem::file_size(path), size);
    }
}

TEST(Emit, ACacheThatCannotBeWrittenIsNoError) { EXPECT_FALSE(emit({reduction_kernel(100)}, 1, "/dev/null/cache")[0].bytes.empty()); }

TEST(Emit, TargetsDoNotDependOnThisMachine) {
    EXPECT_EQ(describe_target("x86-64-v2").find("avx"), std::string::npos);
    EXPECT_NE(describe_target("x86-64-v3").find("fma"), std::string::npos);
    EXPECT_EQ(describe_target("x86-64-v3").find("avx512"), std::string::npos);
    EXPECT_NE(describe_target("x86-64-v4").find("avx512_skylake"), std::string::npos);
    EXPECT_EQ(describe_target("native").find("sapphirerapids"), std::string::npos);
}

/// Vector stores to the stack between multiplications: a register tile that does not fit.
int spills(const std::string &assembly) {
    std::istringstream lines(assembly);
    std::string line;
    int count = 0;
    while (std::getline(lines, line)) count += line.find("-byte Spill") != std::string::npos && line.find("vmov") != std::string::npos && (line.find("zmm") != std::string::npos || line.find("ymm") != std::string::npos);
    return count;
}

/// The blocks between labels whose vector arithmetic is multiplications alone: the steps of a product.
std::string product_steps(const std::string &assembly) {
    std::istringstream lines(assembly);
    std::string line, block, steps;
    int products = 0;
    bool others = false;
    auto close = [&] {
        if (products >= 8 && !others) steps += block;
        block.clear(), products = 0, others = false;
    };
    while (std::getline(lines, line)) {
        if (line.starts_with(".LBB")) close();
        products += line.find("vfmadd231ps") != std::string::npos;
        for (const char *other : {"vaddps", "vsubps", "vmulps", "vfmadd213ps", "vfmsub", "vfnmadd"}) others = others || line.find(other) != std::string::npos;
        block += line + "\n";
    }
    close();
    return steps;
}

TEST(Emit, TilesOfFilteredConvolutionsFit) {
    for (int64_t channels : {16, 32, 64, 256}) {
        Graph g;
        Builder b(g);
        const int64_t size = 2048 / channels;
        NodeId x = b.input(InputKind::argument, "x", {DType::f32, {64, size, size, channels}}), w = b.input(InputKind::argument, "w", {DType::f32, {3, 3, channels, channels}});
        g.results.push_back({ResultKind::value, "", b.append(Op::conv2d, {x, w}, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}})});
        for (const char *target : {"x86-64-v4", "x86-64-v3"}) {
            const std::string steps = product_steps(kernel_assembly(kernel_of(g, "filtered"), {.target = target, .debug_checks = false, .cache_folder = "", .jobs = 1}));
            EXPECT_NE(steps.find("vfmadd231ps"), std::string::npos) << channels << " on " << target;
            EXPECT_EQ(spills(steps), 0) << channels << " on " << target;
        }
    }
}

TEST(Emit, RegisterTilesFit) {
    for (const Kernel &kernel : {convolution_kernel(), matmul_kernel()})
        for (const char *target : {"x86-64-v4", "x86-64-v3"}) {
            KernelOptions options{.target = target, .debug_checks = false, .cache_folder = "", .jobs = 1};
            options.direct_convolutions = true;
            const std::string assembly = kernel_assembly(kernel, options);
            EXPECT_NE(assembly.find("vfmadd231ps"), std::string::npos) << kernel.name << " on " << target;
            EXPECT_EQ(spills(assembly), 0) << kernel.name << " on " << target;
        }
}

TEST(Emit, StatementsAreTextAndHtml) {
    const KernelOptions options{.target = "x86-64-v3", .debug_checks = false, .cache_folder = "", .jobs = 1};
    EXPECT_NE(kernel_statement(reduction_kernel(100), options, false).find("produce"), std::string::npos);
    EXPECT_NE(kernel_statement(reduction_kernel(100), options, true).find("</body>"), std::string::npos);
}

/// Rows of 50 leave a rest of two, and a store by a mask is slow.
TEST(Emit, RowsOfTablesAreStoredInWholeVectors) {
    const KernelOptions options{.target = "x86-64-v3", .debug_checks = false, .cache_folder = "", .jobs = 1};
    Case gathered(DType::f32), set(DType::f32);
    gathered.result(gathered.b.append(Op::gather_rows, {gathered.in({1700, 50}), gathered.in(DType::i32, {64})}, GatherAttrs{true}));
    const NodeId table = set.in({1700, 50}), index = set.in(DType::i32, {64}), rows = set.b.append(Op::gather_rows, {table, index}, GatherAttrs{});
    set.result(set.b.append(Op::set_rows, {table, set.b.add(rows, set.in({64, 50})), index}));
    for (const Kernel &kernel : {kernel_of(gathered.graph, "gathered"), kernel_of(set.graph, "set", {0})}) {
        const std::string statement = kernel_statement(kernel, options, false);
        EXPECT_NE(statement.find("ramp("), std::string::npos);
        EXPECT_EQ(statement.find("predicate"), std::string::npos) << statement;
    }
}

/// A step of K of a tile is one piece of a line: as a column of the whole block it would be a line for each step, and a tile leave the first cache.
/// Of a short K the first cache holds the rows of several tiles, which a panel then passes over.
TEST(Emit, PackedRowsOfATileLieSideBySide) {
    struct Size { int64_t m, n, k; int most; };
    for (const Size size : {Size{1024, 1024, 1024, 8}, Size{36864, 200, 64, 48}}) {
        Case c(DType::f32);
        c.result(c.b.matmul(c.in({size.k, size.m}), c.in({size.k, size.n}), true, false));
        const std::string statement = kernel_statement(kernel_of(c.graph, "product"), {.target = "x86-64-v3", .debug_checks = false, .cache_folder = "", .jobs = 1}, false);
        std::smatch sizes;
        ASSERT_TRUE(std::regex_search(statement, sizes, std::regex("packed_rows\\[float32 \\* (\\d+) \\* " + std::to_string(size.k) + " "))) << statement;
        EXPECT_LE(std::stoi(sizes[1]), size.most);
        EXPECT_GT(std::stoi(sizes[1]), size.most / 2);
    }
}

/// With a stride, a window of one element reads pixels that lie a multiple of the size of the first cache's ways apart.
TEST(Emit, PixelsThatAStrideLeavesApartArePacked) {
    Case c(DType::f32);
    const NodeId x = c.in({64, 16, 16, 64}), dy = c.in({64, 8, 8, 128});
    c.result(c.b.append(Op::conv2d_weight_gradient, {x, dy}, ConvGradAttrs{{2, 2}, {0, 0, 0, 0}, {1, 1}, {1, 1}}));
    const std::string statement = kernel_statement(kernel_of(c.graph, "gradient"), {.target = "x86-64-v3", .debug_checks = false, .cache_folder = "", .jobs = 1}, false);
    EXPECT_NE(statement.find("_pixels[float32 * 64 * 8 * 8 * 1]"), std::string::npos) << statement;
    EXPECT_NE(statement.find("_gradient[float32 * 16 * 8 * 8 * 1]"), std::string::npos) << statement;
}

/// A step of Adam takes its quotient from the weight by the multiply-add that would round the quotient.
TEST(Emit, QuotientsOfRootsAreSubtractedUnrounded) {
    Case c(DType::f32);
    const Type type{DType::f32, {1000}};
    const NodeId divisor = c.b.add(c.b.append(Op::sqrt, {c.in(type.shape)}), c.b.constant(1e-8, type));
    c.result(c.b.subtract(c.in(type.shape), c.b.divide(c.in(type.shape), divisor)));
    const std::string statement = kernel_statement(kernel_of(c.graph, "step"), {.target = "x86-64-v3", .debug_checks = false, .cache_folder = "", .jobs = 1}, false);
    EXPECT_NE(statement.find("quotient.error"), std::string::npos);
    EXPECT_EQ(statement.find("quotient.first"), std::string::npos);
}

TEST(Emit, DebugChecksKeepAssertions) {
    Plan plan;
    plan.kernels = {reduction_kernel(100)};
    const auto checked = emit_kernels(plan, {.target = "x86-64-v3", .debug_checks = true, .cache_folder = "", .jobs = 1});
    const std::string bytes(checked[0].bytes.begin(), checked[0].bytes.end());
    EXPECT_NE(bytes.find("halide_error"), std::string::npos);
}

}  // namespace
}  // namespace kiln
