// What is wrong with a model is said with both places and the way out, several problems in one run.
#include "elaborate_text.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

const char *kTail = "\nloss cross_entropy(logits, label)";

void expect_message(const std::string &text, const std::vector<std::string> &parts) {
    Elaborated e = elaborate_text(text);
    EXPECT_TRUE(e.diagnostics.has_errors()) << text;
    for (const std::string &part : parts) EXPECT_TRUE(e.says(part)) << "expected: " << part << "\n" << e.messages();
}

void expect_in_model(const std::string &statements, const std::vector<std::string> &parts) { expect_message(experiment(statements), parts); }

TEST(Diagnostic, UnknownNameWithASuggestion) {
    expect_in_model(std::string("logits = image |> Flatten() |> Dens(3)") + kTail, {"unknown name `Dens`", "did you mean `Dense`?", "test.model:5"});
}

TEST(Diagnostic, SeveralProblemsInOneRun) {
    Elaborated e = elaborate_text(experiment(std::string("a = nowhere\nb = nothing\nlogits = image |> Flatten() |> Dense(3)") + kTail));
    EXPECT_EQ(e.diagnostics.error_count(), 2) << e.messages();
}

TEST(Diagnostic, OneMistakeIsReportedOnce) {
    Elaborated e = elaborate_text(experiment(std::string("h = image |> Flatten() |> Dense(wrong)\nlogits = h |> Dense(3)") + kTail));
    EXPECT_EQ(e.diagnostics.error_count(), 1) << e.messages();
}

TEST(Diagnostic, DuplicateNamesShowBothPlaces) {
    expect_in_model(std::string("h = 1\nh = 2\nlogits = image |> Flatten() |> Dense(3)") + kTail, {"`h` is already bound", "first bound here"});
    expect_message("const a = 1\nconst a = 2\n" + experiment(std::string("logits = image |> Flatten() |> Dense(3)") + kTail), {"`a` is already bound", "first declared here"});
}

TEST(Diagnostic, UnusedNames) {
    std::string model = experiment(std::string("logits = image |> Flatten() |> Dense(3)") + kTail);
    expect_message("hyper idle: float = 1\n" + model, {"the hyper `idle` is never used"});
    expect_message("const idle = 1\n" + model, {"the const `idle` is never used"});
    expect_in_model(std::string("idle = image |> Flatten()\nlogits = image |> Flatten() |> Dense(3)") + kTail, {"the name `idle` is never used"});
}

TEST(Diagnostic, Arguments) {
    expect_in_model(std::string("logits = image |> Flatten() |> Dense(3, activaton = relu)") + kTail, {"no parameter `activaton`", "did you mean `activation`?", "defined here"});
    expect_in_model(std::string("logits = image |> Flatten() |> Dense()") + kTail, {"`Dense` needs a value for `units`"});
    expect_in_model(std::string("logits = image |> Flatten(1, 2)") + kTail, {"too many arguments"});
    expect_in_model(std::string("logits = image |> Flatten() |> Dense(\"three\")") + kTail, {"`units` of `Dense` should be an integer known at compile time, found the string"});
    expect_message("hyper width: int = 3\n" + experiment(std::string("logits = image |> Flatten() |> Dense(width)") + kTail), {"found a run-time number", "declare it `const`"});
    expect_in_model(std::string("logits = image |> Flatten() |> Dense(3, units = 4)") + kTail, {"`units` is given twice", "given here"});
}

TEST(Diagnostic, ShapesInNestedLayersNameThePathBothShapesAndTheirOrigin) {
    std::string layer = "layer Block(x: float[.., n]) -> float[.., n] {\nparam V: float[7] = zeros\nreturn x + V\n}\n";
    expect_message(layer + experiment(std::string("logits = image |> Flatten() |> Dense(5) |> Block()") + kTail),
                   {"[8, 5]", "[7]", "Block", "M/block", "5 comes from here", "7 comes from here"});
    expect_in_model(std::string("logits = image |> Flatten() |> Conv(3)") + kTail, {"`x` of `Conv`", "f32[8, 16]", "exactly 4 dimensions are needed"});
    expect_in_model(std::string("logits = image |> Flatten() |> Dense(4)") + kTail, {"`label` of `cross_entropy` should have 4 classes and has 3", "4 comes from here"});
}

TEST(Diagnostic, RecursionIsRefused) {
    expect_message("fn f(x) { return f(x) }\n" + experiment(std::string("logits = f(image) |> Flatten() |> Dense(3)") + kTail), {"calls itself, and calls nest"});
}

TEST(Diagnostic, Models) {
    expect_message("const a = 1\n", {"declares no `model`"});
    expect_message("model A(x: float[2]) {\noutput y = x\n}\nmodel B(x: float[2]) {\noutput y = x\n}\n", {"this is another one", "the first one is here"});
    expect_in_model("output p = image |> Flatten()", {"has no `loss`", "trained here"});
    expect_in_model("logits = image |> Flatten() |> Dense(3)\nloss logits", {"`loss` should be one value per sample, [8], found a tensor f32[8, 3]"});
    expect_in_model("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)\nmetric logits", {"one value per sample"});
}

TEST(Diagnostic, TrainSettings) {
    std::string model = std::string("logits = image |> Flatten() |> Dense(3)") + kTail;
    expect_message(experiment(model, ""), {"the setting `optimizer` is missing"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nshedule = cosine()\n"), {"`shedule` is not a setting", "did you mean `schedule`?"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nbatch = 9\n"), {"`batch` is already bound"});
    expect_message(experiment(model, "optimizer = relu\n"), {"`optimizer` should be an optimizer, found the function `relu`"});
    expect_message(experiment(model, "optimizer = SGD()\n"), {"`SGD` needs a value for `lr`"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nschedule = relu\n"), {"expected a schedule"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nschedule = cosine() then cosine()\n"), {"needs `steps` or `epochs`"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nbest = acuracy\n"), {"is not a metric"});
    expect_message("model M(x: float[2]) {\nloss sum(x, axis = 1)\n}\ntrain M on nowhere {\nepochs = 1\noptimizer = SGD(1)\n}\n", {"the setting `batch` is missing"});
    expect_message(experiment(model, "optimizer = SGD(0.1)\nphase a {\nfreeze = [\"M/dens/*\"]\n}\n"), {"no parameter matches `M/dens/*`"});
}

TEST(Diagnostic, Data) {
    std::string model = "model M(image: float[2]) {\nlogits = image |> Dense(1)\nloss sum(square(logits), axis = 1)\n}\n";
    std::string train = "train M on d {\nbatch = 2\nepochs = 1\noptimizer = SGD(1)\n}\n";
    expect_message("data d(dir: path) {\ntrain = 3\n}\n" + model + train, {"split `train` should be a call of a reader"});
    expect_message("data d(dir: path) {\ntest = idx(dir / \"a\")\n}\n" + model + train, {"has no split `train`"});
    expect_message("data d(dir: path) {\ntrain = idx(labels = dir / \"a\")\n}\n" + model + train, {"gives nothing to the model's input `image`", "gives `labels`"});
    expect_message("data d(dir: path) {\ntrain = idx(dir / \"a\", 3)\n}\n" + model + train, {"should be a path"});
    expect_message(model + "train M on nowhere {\nbatch = 2\nepochs = 1\noptimizer = SGD(1)\n}\n", {"unknown name `nowhere`"});
}

TEST(Diagnostic, UpdatesOutsideTraining) {
    std::string layer = "layer Count(x: float[.., n]) {\nbuffer total: float[n] = zeros\ntotal <- total + 1\nreturn x + total\n}\n";
    expect_message(layer + experiment(std::string("logits = image |> Flatten() |> Dense(3) |> Count()") + kTail), {"updated outside training"});
}

TEST(Diagnostic, Defines) {
    std::string text = "const width: int = 5\n" + experiment(std::string("logits = image |> Flatten() |> Dense(width) |> Dense(3)") + kTail);
    Elaborated e = elaborate_text(text, {{{"width", "7"}}});
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_EQ(e.module.find_storage("M/dense_1/W")->type.shape, (Shape{16, 7}));
    EXPECT_TRUE(elaborate_text(text, {{{"widht", "7"}}}).says("did you mean `width`?"));
    EXPECT_TRUE(elaborate_text(text, {{{"width", "seven"}}}).says("-D width=seven"));
}

}  // namespace
}  // namespace kiln
