#include "checkpoint/safetensors.h"

#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr size_t kAlignment = 64;
constexpr const char *kNames[] = {"F32", "F64", "I32", "I64", "U8", "BOOL"};  // by DType

DType dtype_from(const std::string &name, const std::string &path) {
    for (size_t i = 0; i < std::size(kNames); ++i)
        if (name == kNames[i]) return DType(i);
    fail(ExitCode::checkpoint, "%s: dtype %s is not supported", path.c_str(), name.c_str());
}

float from_bfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

std::shared_ptr<const std::vector<float>> widened(const uint8_t *halves, size_t count, float (*widen)(uint16_t)) {
    auto values = std::make_shared<std::vector<float>>(count);
    for (size_t i = 0; i < count; ++i) {
        uint16_t bits = 0;
        std::memcpy(&bits, halves + 2 * i, sizeof bits);
        (*values)[i] = widen(bits);
    }
    return values;
}

std::vector<TensorView> parse(const std::string &content, const std::string &path) {
    uint64_t length = 0;
    if (content.size() < 8) fail(ExitCode::checkpoint, "%s is truncated", path.c_str());
    std::memcpy(&length, content.data(), 8);
    if (length > content.size() - 8) fail(ExitCode::checkpoint, "%s is truncated or no safetensors file", path.c_str());
    Json header = Json::parse(content.begin() + 8, content.begin() + 8 + int64_t(length));
    if (!header.is_object()) fail(ExitCode::checkpoint, "%s: the header is not an object", path.c_str());
    auto *data = reinterpret_cast<const uint8_t *>(content.data()) + 8 + length;
    auto size = int64_t(content.size() - 8 - length);
    std::vector<std::pair<int64_t, TensorView>> tensors;
    for (const auto &[name, entry] : header.items()) {
        if (name == "__metadata__") continue;
        const std::string dtype = entry.at("dtype");
        const bool is_half = dtype == "F16" || dtype == "BF16";
        TensorView tensor{name, is_half ? DType::f32 : dtype_from(dtype, path), entry.at("shape"), nullptr};
        auto offsets = entry.at("data_offsets").get<std::vector<int64_t>>();
        int64_t elements = 1;
        for (int64_t extent : tensor.shape)
            if (extent < 0 || __builtin_mul_overflow(elements, extent, &elements) || elements > size)
                fail(ExitCode::checkpoint, "%s: %s has shape %s", path.c_str(), name.c_str(), shape_text(tensor.shape).c_str());
        if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] > size || offsets[1] - offsets[0] != tensor.bytes() / (is_half ? 2 : 1))
            fail(ExitCode::checkpoint, "%s: the bytes of %s do not fit the file", path.c_str(), name.c_str());
        tensor.data = data + offsets[0];
        if (is_half) {
            tensor.widened = widened(tensor.data, size_t(elements), dtype == "F16" ? from_half : from_bfloat);
            tensor.data = reinterpret_cast<const uint8_t *>(tensor.widened->data());
        }
        tensors.emplace_back(offsets[0], std::move(tensor));
    }
    std::sort(tensors.begin(), tensors.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    std::vector<TensorView> out;
    int64_t end = 0;
    for (auto &[offset, tensor] : tensors) {
        if (offset < end) fail(ExitCode::checkpoint, "%s: tensors overlap", path.c_str());
        end = offset + tensor.bytes() / (tensor.widened ? 2 : 1);
        out.push_back(std::move(tensor));
    }
    return out;
}

}  // namespace

std::string safetensors_header(const std::vector<TensorView> &tensors, const std::string &model) {
    std::string json = "{\"__metadata__\":{\"format\":\"kiln\",\"model\":" + json_string(model) + "}";
    int64_t offset = 0;
    for (const TensorView &tensor : tensors) {
        std::vector<std::string> extents;
        for (int64_t extent : tensor.shape) extents.push_back(std::to_string(extent));
        json += "," + json_string(tensor.name) + ":{\"dtype\":\"" + kNames[size_t(tensor.dtype)] + "\",\"shape\":[" +
                join(extents, ",") + "],\"data_offsets\":[" + std::to_string(offset) + "," +
                std::to_string(offset + tensor.bytes()) + "]}";
        offset += tensor.bytes();
    }
    json += "}";
    json.append((kAlignment - (8 + json.size()) % kAlignment) % kAlignment, ' ');
    uint64_t length = json.size();
    std::string header(8, '\0');
    std::memcpy(header.data(), &length, 8);
    return header + json;
}

std::vector<TensorView> parse_safetensors(const std::string &content, const std::string &path) {
    try {
        return parse(content, path);
    } catch (const Json::exception &error) {
        fail(ExitCode::checkpoint, "%s: the header is not valid: %s", path.c_str(), error.what());
    }
}

}  // namespace kiln::runtime
