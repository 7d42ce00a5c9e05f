// Networks built by hand, as the elaborator would: for tests of what fusion and planning make of a training step.
#pragma once

#include "compiler/autodiff/differentiate.h"
#include "compiler/ir/module.h"
#include "compiler/ops/builder.h"

#include <string>

namespace kiln::testing {

class Network {
public:
    explicit Network(int64_t batch) : builder_(graph_), batch_(batch) {
        module_.name = "Network";
        module_.batch = batch;
        graph_.name = "train";
    }

    Builder &b() { return builder_; }

    NodeId column(const std::string &name, Shape shape, DType dtype = DType::f32) {
        module_.columns.push_back({name, {dtype, shape}, 0, {}});
        shape.insert(shape.begin(), batch_);
        return builder_.input(InputKind::data, name, {dtype, shape});
    }
    NodeId storage(StorageKind kind, const std::string &path, Shape shape) {
        const std::string arena = kind == StorageKind::param ? "param" : "buffer";
        const Type type{DType::f32, std::move(shape)};
        module_.storages.push_back({path, kind, type, arena, module_.arena_elements(arena), {}});
        return builder_.input(InputKind::storage, path, type);
    }
    NodeId param(const std::string &path, Shape shape) { return storage(StorageKind::param, path, std::move(shape)); }
    NodeId scalar(double value) { return builder_.constant(value, {DType::f64, {}}); }

    NodeId relu(NodeId x) { return builder_.elementwise(Op::maximum, {scalar(0), x}); }
    NodeId dense(NodeId x, const std::string &path, int64_t units) {
        const NodeId w = param(path + "/W", {builder_.type(x).shape.back(), units});
        return builder_.add(builder_.matmul(x, w), param(path + "/b", {units}));
    }
    NodeId conv(NodeId x, const std::string &path, int64_t channels) {
        const NodeId w = param(path + "/W", {3, 3, builder_.type(x).shape.back(), channels});
        return builder_.add(builder_.append(Op::conv2d, {x, w}, ConvAttrs{}), param(path + "/b", {channels}));
    }
    NodeId max_pool(NodeId x) { return builder_.append(Op::max_pool2d, {x}, WindowAttrs{{2, 2}, {2, 2}, {0, 0, 0, 0}}); }
    NodeId flatten(NodeId x) { return builder_.reshape(x, {batch_, builder_.type(x).elements() / batch_}); }
    NodeId average(NodeId x, const Ints &axes) {
        const NodeId sum = builder_.reduce(Op::reduce_sum, x, axes);
        return builder_.divide(sum, scalar(double(builder_.type(x).elements()) / double(builder_.type(sum).elements())));
    }
    NodeId batch_norm(NodeId x, const std::string &path) {
        const int64_t channels = builder_.type(x).shape.back();
        Ints axes;
        for (int axis = 0; axis + 1 < builder_.type(x).rank(); ++axis) axes.push_back(axis);
        const NodeId gamma = param(path + "/gamma", {channels}), beta = param(path + "/beta", {channels});
        const NodeId mean = average(x, axes), centred = builder_.subtract(x, mean);
        const NodeId variance = average(builder_.multiply(centred, centred), axes);
        for (auto [name, value] : {std::pair{"/mean", mean}, std::pair{"/var", variance}}) {
            const NodeId old = storage(StorageKind::buffer, path + name, {channels});
            store(path + name, builder_.add(builder_.multiply(scalar(0.99), old), builder_.multiply(scalar(0.01), value)));
        }
        const NodeId deviation = builder_.elementwise(Op::sqrt, {builder_.add(variance, scalar(1e-3))});
        return builder_.add(builder_.multiply(builder_.divide(gamma, deviation), centred), beta);
    }
    NodeId dropout(NodeId x, int64_t stream) {
        const NodeId seed = builder_.input(InputKind::scalar, "seed", {DType::i64, {}}), step = builder_.input(InputKind::scalar, "step", {DType::i64, {}});
        const NodeId random = builder_.append(Op::random_uniform, {seed, step}, RandomAttrs{stream, DType::f32, builder_.type(x).shape});
        const NodeId keep = builder_.elementwise(Op::less, {random, scalar(0.5)});
        return builder_.elementwise(Op::select, {keep, builder_.multiply(x, scalar(2)), builder_.broadcast_to(builder_.constant(0, {DType::f32, {}}), builder_.type(x).shape)});
    }
    /// Cross entropy of logits [N, C] and labels i32[N], per sample.
    NodeId cross_entropy(NodeId logits, NodeId label) {
        const NodeId shifted = builder_.subtract(logits, builder_.reduce(Op::reduce_max, logits, {1}, true));
        const NodeId sum = builder_.reduce(Op::reduce_sum, builder_.elementwise(Op::exp, {shifted}), {1}, true);
        const NodeId log_softmax = builder_.subtract(shifted, builder_.elementwise(Op::log, {sum}));
        const Shape shape = builder_.type(logits).shape;
        const NodeId classes = builder_.iota(1, {DType::i32, shape});
        const NodeId one_hot = builder_.elementwise(Op::equal, {builder_.broadcast_to(builder_.reshape(label, {batch_, 1}), shape), classes});
        const NodeId zero = builder_.broadcast_to(builder_.constant(0, {DType::f32, {}}), shape);
        return builder_.elementwise(Op::negate, {builder_.reduce(Op::reduce_sum, builder_.elementwise(Op::select, {one_hot, log_softmax, zero}), {1})});
    }

    void store(const std::string &name, NodeId value) { graph_.results.push_back({ResultKind::store, name, value}); }
    void result(ResultKind kind, const std::string &name, NodeId value) { graph_.results.push_back({kind, name, value}); }

    /// The module with the step differentiated; the mean of `loss` over the batch is what is minimized.
    Module train(NodeId loss) {
        graph_.results.push_back({ResultKind::sample, "loss", loss});
        graph_.results.push_back({ResultKind::loss, "", average(loss, {0})});
        std::vector<std::string> paths;
        for (const Storage &s : module_.storages)
            if (s.kind == StorageKind::param) paths.push_back(s.path);
        module_.graphs["train"] = differentiate(graph_, paths);
        return module_;
    }
    Module done() {
        module_.graphs[graph_.name] = graph_;
        return module_;
    }

private:
    Module module_;
    Graph graph_;
    Builder builder_;
    int64_t batch_;
};

/// The CNN of the language's first example.
inline Module digits(int64_t batch = 64) {
    Network n(batch);
    NodeId x = n.column("image", {28, 28, 1});
    const NodeId label = n.column("label", {}, DType::i32);
    x = n.batch_norm(x, "batch_norm");
    x = n.max_pool(n.relu(n.conv(n.relu(n.conv(x, "conv_1", 32)), "conv_2", 32)));
    x = n.max_pool(n.relu(n.conv(n.relu(n.conv(x, "conv_3", 64)), "conv_4", 64)));
    x = n.dropout(n.relu(n.dense(n.flatten(x), "dense_1", 512)), 1);
    x = n.dense(x, "dense_2", 10);
    return n.train(n.cross_entropy(x, label));
}

}  // namespace kiln::testing
