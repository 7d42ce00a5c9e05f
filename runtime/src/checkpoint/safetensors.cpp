#include "checkpoint/safetensors.h"

#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr size_t kAlignment = 64;
constexpr const char *kNames[] = {"F32", "F64", "I32", "I64", "U8", "BOOL"};  // by DType

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

/// The header as JSON, in which no object has a key twice: which of two is meant would be the reader's guess.
Json parse_header(std::string_view text, const std::string &path) {
    std::vector<std::pair<std::set<std::string>, std::string>> objects;  // those that are open: their keys, and the last of them
    auto check = [&](int, Json::parse_event_t event, Json &value) {
        if (event == Json::parse_event_t::object_start) objects.emplace_back();
        if (event == Json::parse_event_t::object_end) objects.pop_back();
        if (event != Json::parse_event_t::key) return true;
        auto &[keys, last] = objects.back();
        last = value.get<std::string>();
        if (keys.insert(last).second) return true;
        if (objects.size() == 1) fail(ExitCode::checkpoint, "%s is damaged: its header has %s twice", path.c_str(), quoted_name(last).c_str());
        fail(ExitCode::checkpoint, "%s is damaged: its header has %s of %s twice", path.c_str(), quoted_name(last).c_str(), quoted_name(objects[0].second).c_str());
    };
    try {
        Json header = Json::parse(text, check);
        if (!header.is_object()) fail(ExitCode::checkpoint, "%s is damaged: its header is no JSON object", path.c_str());
        return header;
    } catch (const Json::parse_error &error) {
        fail(ExitCode::checkpoint, "%s is damaged: its header is no JSON; what is wrong ends at its byte %zu", path.c_str(), error.byte);
    } catch (const Json::exception &) {
        fail(ExitCode::checkpoint, "%s is damaged: its header has a number that is none", path.c_str());
    }
}

/// A part of the header, for a message.
std::string shown(const Json &value) { return quoted_name(value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 100)); }

/// Whether `value` is a list of whole numbers from 0, which are then in `numbers`.
bool are_counts(const Json &value, std::vector<int64_t> &numbers) {
    if (!value.is_array()) return false;
    for (const Json &number : value) {
        if (!number.is_number_unsigned() || number.get<uint64_t>() > uint64_t(INT64_MAX)) return false;
        numbers.push_back(number.get<int64_t>());
    }
    return true;
}

struct Entry {
    TensorView tensor;
    std::string type;
    int64_t begin = 0, end = 0;  ///< of its bytes, after the header
    bool is_half() const { return type == "F16" || type == "BF16"; }
};

Entry parse_entry(const std::string &name, const Json &json, int64_t size, const std::string &path) {
    const std::string place = path + ": the tensor " + quoted_name(name);
    const char *tensor = place.c_str();
    auto member = [&](const char *key) {
        const auto found = json.is_object() ? json.find(key) : json.end();
        if (!json.is_object() || found == json.end()) fail(ExitCode::checkpoint, "%s has no %s in the header", tensor, key);
        return *found;
    };
    const Json dtype = member("dtype"), shape = member("shape"), offsets = member("data_offsets");
    if (!dtype.is_string()) fail(ExitCode::checkpoint, "%s has no name for its dtype: %s", tensor, shown(dtype).c_str());
    Entry entry{{name, DType::f32, {}, nullptr}, dtype.get<std::string>()};
    const auto known = std::find(std::begin(kNames), std::end(kNames), entry.type);
    if (known == std::end(kNames) && !entry.is_half())
        fail(ExitCode::checkpoint, "%s has the dtype %s; F16, BF16, %s can be read", tensor, quoted_name(entry.type).c_str(), join({std::begin(kNames), std::end(kNames)}, ", ").c_str());
    if (!entry.is_half()) entry.tensor.dtype = DType(known - std::begin(kNames));
    int64_t elements = 1;
    bool is_shape = are_counts(shape, entry.tensor.shape);
    for (int64_t extent : entry.tensor.shape) is_shape = is_shape && !__builtin_mul_overflow(elements, extent, &elements) && elements <= size;
    if (!is_shape) fail(ExitCode::checkpoint, "%s has the shape %s; whole numbers are needed, for no more than the %lld bytes after the header", tensor, shown(shape).c_str(), (long long)size);
    std::vector<int64_t> range;
    const int64_t bytes = entry.tensor.bytes() / (entry.is_half() ? 2 : 1);
    if (!are_counts(offsets, range) || range.size() != 2 || range[1] > size || range[0] > range[1] || range[1] - range[0] != bytes)
        fail(ExitCode::checkpoint, "%s has the data_offsets %s; %s%s needs %lld of the %lld bytes after the header", tensor, shown(offsets).c_str(), entry.type.c_str(),
             shape_text(entry.tensor.shape).c_str(), (long long)bytes, (long long)size);
    entry.begin = range[0], entry.end = range[1];
    return entry;
}

/// Tensors lie one after the other from the header's end to the file's: bytes between them belong to none, and one may not be another's.
void check_order(const std::vector<Entry> &entries, int64_t size, const std::string &path) {
    int64_t end = 0;
    std::string before = "the header";
    for (const Entry &entry : entries) {
        if (entry.begin != end)
            fail(ExitCode::checkpoint, "%s is damaged: the tensor %s begins at byte %lld of the data, but %s ends at %lld", path.c_str(), quoted_name(entry.tensor.name).c_str(),
                 (long long)entry.begin, before.c_str(), (long long)end);
        end = entry.end, before = quoted_name(entry.tensor.name);
    }
    if (end != size)
        fail(ExitCode::checkpoint, "%s is damaged: %lld bytes follow %s, the last of its tensors", path.c_str(), (long long)(size - end), entries.empty() ? "the header, and it lists none" : before.c_str());
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
    uint64_t length = 0;
    if (content.size() < 8) fail(ExitCode::checkpoint, "%s is truncated", path.c_str());
    std::memcpy(&length, content.data(), 8);
    if (length > content.size() - 8) fail(ExitCode::checkpoint, "%s is truncated or no safetensors file", path.c_str());
    const Json header = parse_header(std::string_view(content).substr(8, length), path);
    const auto *data = reinterpret_cast<const uint8_t *>(content.data()) + 8 + length;
    const auto size = int64_t(content.size() - 8 - length);
    std::vector<Entry> entries;
    for (const auto &[name, json] : header.items()) {
        if (name != "__metadata__") entries.push_back(parse_entry(name, json, size, path));
        else if (!json.is_object()) fail(ExitCode::checkpoint, "%s is damaged: its `__metadata__` is no object, but %s", path.c_str(), shown(json).c_str());
    }
    std::sort(entries.begin(), entries.end(), [](const Entry &a, const Entry &b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    check_order(entries, size, path);
    std::vector<TensorView> tensors;
    for (Entry &entry : entries) {
        entry.tensor.data = data + entry.begin;
        if (entry.is_half()) {
            entry.tensor.widened = widened(entry.tensor.data, size_t(element_count(entry.tensor.shape)), entry.type == "F16" ? from_half : from_bfloat);
            entry.tensor.data = reinterpret_cast<const uint8_t *>(entry.tensor.widened->data());
        }
        tensors.push_back(std::move(entry.tensor));
    }
    return tensors;
}

}  // namespace kiln::runtime
