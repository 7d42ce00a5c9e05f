// Runs a program of a plan on real bytes, with the reference interpreter in place of kernels: what differs from interpreting the
// whole graph is a mistake of the plan.
#pragma once

#include "compiler/ops/interpret.h"
#include "compiler/plan/plan.h"
#include "test/property/random_graph.h"

#include <cstring>

namespace kiln::testing {

class PlanExecution {
public:
    PlanExecution(const Module &module, const Plan &plan) : plan_(plan) {
        for (const Arena &arena : plan.arenas) arenas_[arena.name].assign(size_t(arena.bytes), 0xa5);
        if (!plan.constants.empty()) arenas_["constant"] = plan.constants;
        for (const Column &column : module.columns) {
            Type type = column.type;
            type.shape.insert(type.shape.begin(), module.batch);
            arenas_["data:" + column.name].assign(size_t(type.bytes()), 0);
            write({.arena = "data:" + column.name, .type = type}, input_value(input(InputKind::data, column.name, type)));
        }
        for (const Storage &s : module.storages)
            write({.arena = s.arena, .offset = s.offset * arena_element_bytes(module, s.arena), .type = s.type},
                  input_value(input(InputKind::storage, s.path, s.type)));
    }

    void run(const Program &program) {
        scalars_ = program.scalars;
        scalars_.results.clear();
        for (int i = 0; i < scalars_.size(); ++i) scalars_.results.push_back({ResultKind::value, "", NodeId{i}});
        scalar_values_ = interpret(scalars_, input_value);
        for (const Call &call : program.calls) {
            const Graph &body = plan_[call.kernel].body;
            std::vector<Tensor> arguments;
            for (size_t i = 0; i < call.inputs.size(); ++i)
                arguments.push_back(call.inputs[i].valid() ? read(plan_[call.inputs[i]]) : scalar_values_[size_t(call.scalars[i].index)]);
            std::vector<Tensor> results = interpret_body(body, arguments);
            for (size_t i = 0; i < results.size(); ++i) write(plan_[call.outputs[i]], results[i]);
        }
    }

    Tensor read(const Buffer &buffer) const {
        Tensor tensor{buffer.type, {}};
        const uint8_t *bytes = arenas_.at(buffer.arena).data() + buffer.offset;
        for (int64_t i = 0; i < buffer.type.elements(); ++i) tensor.values.push_back(load(bytes + i * size_of(buffer.type.dtype), buffer.type.dtype));
        return tensor;
    }
    Tensor scalar(const ScalarResult &result) const {
        return result.buffer.valid() ? read(plan_[result.buffer]) : scalar_values_[size_t(result.node.index)];
    }

private:
    static Node input(InputKind kind, const std::string &name, const Type &type) {
        Node node;
        node.op = Op::input;
        node.attrs = InputAttrs{kind, name};
        node.type = type;
        return node;
    }
    /// Inputs that no result needs are not asked for by the interpreter, so they are matched by name.
    static std::vector<Tensor> interpret_body(const Graph &body, const std::vector<Tensor> &arguments) {
        std::map<std::string, size_t> position;
        for (const Node &node : body.nodes)
            if (node.op == Op::input) position.emplace(attrs<InputAttrs>(node).name, position.size());
        return interpret(body, [&](const Node &node) { return arguments[position.at(attrs<InputAttrs>(node).name)]; });
    }
    template <typename T> static double load_as(const uint8_t *bytes) {
        T value;
        std::memcpy(&value, bytes, sizeof value);
        return double(value);
    }
    static double load(const uint8_t *bytes, DType dtype) {
        switch (dtype) {
            case DType::f32: return load_as<float>(bytes);
            case DType::f64: return load_as<double>(bytes);
            case DType::i32: return load_as<int32_t>(bytes);
            case DType::i64: return load_as<int64_t>(bytes);
            case DType::u8:
            case DType::boolean: return *bytes;
        }
        return 0;
    }
    template <typename T> static void store_as(uint8_t *bytes, double value) {
        const T converted = static_cast<T>(value);
        std::memcpy(bytes, &converted, sizeof converted);
    }
    void write(const Buffer &buffer, const Tensor &tensor) {
        uint8_t *bytes = arenas_.at(buffer.arena).data() + buffer.offset;
        const int64_t size = size_of(buffer.type.dtype);
        for (size_t i = 0; i < tensor.values.size(); ++i) {
            uint8_t *at = bytes + int64_t(i) * size;
            switch (buffer.type.dtype) {
                case DType::f32: store_as<float>(at, tensor.values[i]); break;
                case DType::f64: store_as<double>(at, tensor.values[i]); break;
                case DType::i32: store_as<int32_t>(at, tensor.values[i]); break;
                case DType::i64: store_as<int64_t>(at, tensor.values[i]); break;
                case DType::u8:
                case DType::boolean: *at = uint8_t(tensor.values[i]); break;
            }
        }
    }

    const Plan &plan_;
    Graph scalars_;
    std::vector<Tensor> scalar_values_;
    std::map<std::string, std::vector<uint8_t>> arenas_;
};

}  // namespace kiln::testing
