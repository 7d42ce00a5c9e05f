// What models compute, in f64 in the reference interpreter.
#pragma once

#include "elaborate_text.h"

#include "compiler/autodiff/differentiate.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace kiln {

/// What a graph of an experiment gives, by the name of the result; parameters and buffers have their initial values unless given.
/// "gradients": those of the mean loss, by "gradient:" and the parameter.
inline std::map<std::string, std::vector<double>> run(const std::string &inputs, const std::string &statements, const std::string &graph,
                                               const std::map<std::string, std::vector<double>> &given, int batch = 2) {
    Elaborated e = elaborate_text("precision f64\ndata d(dir: path) {\n train = npz(dir / \"records.npz\")\n}\nmodel M(" + inputs + ") {\n" + statements + "\n}\n" +
                                  "train M on d {\nbatch = " + std::to_string(batch) + "\nepochs = 1\noptimizer = SGD(0.1)\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    std::map<std::string, std::vector<double>> found;
    if (e.diagnostics.has_errors()) return found;
    std::map<std::string, Tensor> storage;
    const Graph &init = e.module.graphs.at("init");
    std::vector<Tensor> initial = interpret(init, [](const Node &node) { return Tensor{node.type, {1}}; });
    for (size_t i = 0; i < initial.size(); ++i) storage[init.results[i].name] = initial[i];
    std::vector<std::string> parameters;
    for (const Storage &storage : e.module.storages)
        if (storage.kind == StorageKind::param) parameters.push_back(storage.path);
    const Graph wanted = graph == "gradients" ? differentiate(e.module.graphs.at("train"), parameters) : e.module.graphs.at(graph);
    std::vector<Tensor> results = interpret(wanted, [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        if (auto value = given.find(name); value != given.end()) return Tensor{node.type, value->second};
        if (auto value = storage.find(name); value != storage.end()) return value->second;
        return Tensor{node.type, {1}};
    });
    for (size_t i = 0; i < results.size(); ++i) found.emplace(wanted.results[i].name, results[i].values);  // "loss": the mean comes first
    return found;
}

inline void expect_near(const std::vector<double> &actual, const std::vector<double> &expected, double tolerance = 1e-12) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], tolerance) << i;
}

}  // namespace kiln
