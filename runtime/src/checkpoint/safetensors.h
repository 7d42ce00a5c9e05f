// safetensors (the format of huggingface/safetensors): u64 little-endian header length, a JSON header
// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ..}, then the tensors' bytes, row-major. The header is
// padded with spaces so that the data begin at a multiple of 64 bytes; tensors keep their order without gaps.
#pragma once

#include "program/metadata.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kiln::runtime {

struct TensorView {
    std::string name;
    DType dtype = DType::f32;
    std::vector<int64_t> shape;
    const uint8_t *data = nullptr;
    std::shared_ptr<const std::vector<float>> widened{};  ///< what `data` points to if the file has halves, which are read as f32
    int64_t bytes() const { return element_count(shape) * size_of(dtype); }
};

/// The bytes of a file up to its data; they follow, tensor by tensor. `model` goes into "__metadata__".
std::string safetensors_header(const std::vector<TensorView> &tensors, const std::string &model);

/// Views into `content`, the whole of the file `path`. Throws Failure (checkpoint) where it breaks the format.
std::vector<TensorView> parse_safetensors(const std::string &content, const std::string &path);

}  // namespace kiln::runtime
