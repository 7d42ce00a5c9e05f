// Random graphs for property tests: inputs, storages, elementwise chains, broadcasts, reductions, contractions and views.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/ops/builder.h"
#include "compiler/ops/tensor.h"

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>

namespace kiln::testing {

/// A module with one graph "train" over params, a state, a data column and scalars; its loss, output and stores use many of the
/// values made on the way.
inline Module random_module(uint32_t seed, int steps = 30) {
    std::mt19937 random(seed);
    auto pick = [&](int n) { return int(random() % uint32_t(n)); };
    Module module;
    module.name = "Random";
    module.batch = 4;
    module.columns.push_back({"x", {DType::f32, {3}}, 0, {}});
    auto storage = [&](StorageKind kind, const char *path, Shape shape, const char *arena, int64_t offset) {
        module.storages.push_back({path, kind, {DType::f32, std::move(shape)}, arena, offset, {}});
    };
    storage(StorageKind::param, "w", {3, 3}, "param", 0);
    storage(StorageKind::param, "b", {3}, "param", 16);
    storage(StorageKind::buffer, "mean", {3}, "buffer", 0);
    storage(StorageKind::buffer, "var", {3}, "buffer", 16);
    storage(StorageKind::buffer, "total", {4, 3}, "buffer", 32);

    Graph graph;
    graph.name = "train";
    Builder b(graph);
    std::vector<NodeId> values{b.input(InputKind::data, "x", {DType::f32, {4, 3}})};
    for (const Storage &s : module.storages) values.push_back(b.input(InputKind::storage, s.path, s.type));
    const NodeId rate = b.input(InputKind::scalar, "rate", {DType::f64, {}});
    values.push_back(b.constant(0.5, {DType::f32, {4, 3}}));
    values.push_back(b.constant({0.25, -0.5, 1.5}, {DType::f32, {3}}));
    values.push_back(b.elementwise(Op::sin, {rate}));

    auto any = [&] { return values[size_t(pick(int(values.size())))]; };
    for (int step = 0; step < steps; ++step) {
        const NodeId x = any();
        const Type type = b.type(x);
        try {
            switch (pick(11)) {
                case 0: values.push_back(b.elementwise(Op::tanh, {x})); break;
                case 1: values.push_back(b.elementwise(Op::negate, {x})); break;
                case 2: values.push_back(b.add(x, any())); break;
                case 3: values.push_back(b.multiply(x, any())); break;
                case 4: values.push_back(b.elementwise(Op::maximum, {x, any()})); break;
                case 5: values.push_back(b.elementwise(Op::select, {b.elementwise(Op::less, {x, any()}), x, x})); break;
                case 6: values.push_back(b.reduce(pick(2) ? Op::reduce_sum : Op::reduce_max, x, {pick(std::max(1, type.rank()))}, pick(2))); break;
                case 7: values.push_back(b.matmul(x, any(), pick(2), pick(2))); break;
                case 8: values.push_back(b.reshape(x, {type.elements()})); break;
                case 9: values.push_back(b.reshape(x, {4, 3})); break;
                case 10: values.push_back(b.transpose(x, type.rank() == 2 ? Ints{1, 0} : Ints{0})); break;
            }
        } catch (const BuildError &) {
            // Operands that do not fit: nothing was appended that matters.
        }
    }

    auto scaled = [&](NodeId x) { return b.elementwise(Op::tanh, {x}); };  // keeps values tame
    NodeId loss = b.constant(0, {DType::f32, {}});
    for (int i = 0; i < 4; ++i) {
        NodeId x = scaled(any());
        Ints axes;
        for (int axis = 0; axis < b.type(x).rank(); ++axis) axes.push_back(axis);
        loss = b.add(loss, axes.empty() ? x : b.reduce(Op::reduce_sum, x, axes));
    }
    if (b.type(loss).dtype == DType::f32) graph.results.push_back({ResultKind::loss, "", loss});
    graph.results.push_back({ResultKind::output, "y", scaled(any())});
    graph.results.push_back({ResultKind::scalar, "sine", values.size() > 8 ? b.elementwise(Op::cos, {rate}) : rate});
    auto store = [&](const std::string &name, Shape shape) {
        for (int attempt = 0; attempt < 20; ++attempt) {
            const NodeId x = any();
            if (b.type(x) != Type{DType::f32, shape}) continue;
            graph.results.push_back({ResultKind::store, name, x});
            return;
        }
    };
    store("gradient:w", {3, 3});
    store("gradient:b", {3});
    store("mean", {3});
    store("var", {3});
    store("total", {4, 3});
    if (pick(2)) store("w", {3, 3});
    module.graphs["train"] = graph;
    return module;
}

/// A module of views that can be pieces of memory, and of some that cannot: slices and concatenations of rows and of columns, of computed values,
/// inputs and constants, nested, used several times, as results and by the side of others.
inline Module random_pieces_module(uint32_t seed, int steps = 24) {
    std::mt19937 random(seed);
    auto pick = [&](int n) { return int(random() % uint32_t(n)); };
    Module module;
    module.name = "Pieces";
    module.batch = 4;
    module.columns.push_back({"x", {DType::f32, {16}}, 0, {}});
    module.storages.push_back({"w", StorageKind::param, {DType::f32, {4, 16}}, "param", 0, {}});
    module.storages.push_back({"kept", StorageKind::buffer, {DType::f32, {4, 16}}, "buffer", 0, {}});
    Graph graph;
    graph.name = "train";
    Builder b(graph);
    std::vector<NodeId> values{b.input(InputKind::data, "x", {DType::f32, {4, 16}}), b.input(InputKind::storage, "w", {DType::f32, {4, 16}}), b.constant(0.5, {DType::f32, {2, 16}})};
    values.push_back(b.elementwise(Op::tanh, {values[0]}));
    auto any = [&] { return values[size_t(pick(int(values.size())))]; };
    for (int step = 0; step < steps; ++step) {
        const NodeId x = any();
        const Shape shape = b.type(x).shape;
        try {
            switch (pick(7)) {
                case 0: values.push_back(b.elementwise(Op::tanh, {x})); break;
                case 1: values.push_back(b.add(x, any())); break;
                case 2: {
                    SliceAttrs rows{{pick(int(shape[0])), 0}, shape, {1, 1}};
                    if (pick(4) == 0) rows.begin[1] = pick(int(shape[1]));
                    values.push_back(b.append(Op::slice, {x}, rows));
                    break;
                }
                case 3:
                case 4: {
                    std::vector<NodeId> parts{x};
                    for (int part = pick(3); part > 0; --part) parts.push_back(any());
                    if (const NodeId joined = b.append(Op::concat, parts, AxisAttrs{pick(4) == 0}); b.type(joined).elements() <= 1024) values.push_back(joined);
                    break;
                }
                case 5: values.push_back(b.elementwise(Op::tanh, {b.reshape(x, {1, b.type(x).elements()})})); break;
                case 6: values.push_back(b.matmul(x, any(), pick(2), pick(2))); break;
            }
        } catch (const BuildError &) {
        }
    }
    NodeId loss = b.constant(0, {DType::f32, {}});
    for (int i = 0; i < 4; ++i) loss = b.add(loss, b.reduce(Op::reduce_sum, b.elementwise(Op::tanh, {any()}), {0, 1}));
    graph.results.push_back({ResultKind::loss, "", loss});
    graph.results.push_back({ResultKind::output, "y", any()});
    graph.results.push_back({ResultKind::output, "z", any()});
    for (const char *name : {"kept", "gradient:w"})
        for (int attempt = 0; attempt < 20; ++attempt) {
            const NodeId x = any();
            if (b.type(x) != Type{DType::f32, {4, 16}}) continue;
            graph.results.push_back({ResultKind::store, name, x});
            break;
        }
    module.graphs["train"] = graph;
    return module;
}

/// Fixed pseudo-random values for an input, by its name.
inline Tensor input_value(const Node &node) {
    const InputAttrs &input = std::get<InputAttrs>(node.attrs);
    std::mt19937 random(uint32_t(std::hash<std::string>()(input.name)));
    Tensor tensor{node.type, {}};
    for (int64_t i = 0; i < node.type.elements(); ++i) {
        const double unit = double(random() % 2001) / 1000 - 1;
        tensor.values.push_back(is_float(node.type.dtype) ? double(float(unit)) : double(random() % 5));
    }
    return tensor;
}

}  // namespace kiln::testing
