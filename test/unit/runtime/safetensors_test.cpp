// The format of weights: what is written is read again, and nothing that is not quite so.
#include "harness.h"

#include "checkpoint/safetensors.h"
#include "support/failure.h"

#include <gtest/gtest.h>
#include <cstring>

namespace kiln::runtime::testing {
namespace {

TEST(Safetensors, round_trip) {
    std::vector<float> a{1, 2, 3, 4, 5, 6};
    std::vector<uint8_t> b{7, 8, 9};
    std::vector<TensorView> tensors{{"m/W \"q\"", DType::f32, {2, 3}, reinterpret_cast<const uint8_t *>(a.data())},
                                    {"m/scalar", DType::f32, {}, reinterpret_cast<const uint8_t *>(a.data())},
                                    {"m/b", DType::u8, {3}, b.data()},
                                    {"m/empty", DType::f64, {0}, b.data()}};
    std::string content = safetensors_header(tensors, "M");
    uint64_t length;
    std::memcpy(&length, content.data(), 8);
    EXPECT_EQ(length + 8, content.size());
    EXPECT_EQ(content.size() % 64, 0u);
    for (const TensorView &tensor : tensors) content.append(reinterpret_cast<const char *>(tensor.data), size_t(tensor.bytes()));
    auto read = parse_safetensors(content, "x");
    ASSERT_EQ(read.size(), 4u);
    EXPECT_EQ(read[0].name, "m/W \"q\"");
    EXPECT_EQ(read[0].shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(std::memcmp(read[0].data, a.data(), 24), 0);
    // Whatever is cut off or changed in the header is refused, without reading outside the content.
    for (size_t keep = 0; keep < content.size(); ++keep)
        EXPECT_THROW(parse_safetensors(content.substr(0, keep), "x"), Failure) << keep;
}

TEST(Safetensors, halves_are_read_as_f32) {
    const std::string json = R"({"b":{"dtype":"BF16","shape":[2],"data_offsets":[6,10]},"a":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}})";
    const uint64_t length = json.size();
    const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x3f80, 0xc2f7};
    std::string content(8, '\0');
    std::memcpy(content.data(), &length, 8);
    content += json + std::string(reinterpret_cast<const char *>(halves), sizeof halves);
    const auto read = parse_safetensors(content, "x");
    ASSERT_EQ(read.size(), 2u);
    const float first[] = {1, -2, 65504}, second[] = {1, -123.5};
    EXPECT_EQ(read[0].dtype, DType::f32);
    EXPECT_EQ(std::memcmp(read[0].data, first, sizeof first), 0);
    EXPECT_EQ(std::memcmp(read[1].data, second, sizeof second), 0);
}

TEST(Safetensors, hostile_headers_are_refused) {
    EXPECT_EQ(parse_safetensors(safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "x").size(), 1u);
    EXPECT_EQ(parse_safetensors(safetensors("{}  ", 0), "x").size(), 0u) << "an optimizer may have no tensors";
    EXPECT_EQ(parse_safetensors(safetensors(R"({"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), "x").size(), 2u);
    struct Case {
        const char *json, *message;
    };
    for (const Case &c : std::vector<Case>{
             {"", "x is damaged: its header is no JSON; what is wrong ends at its byte 1"},
             {"{", "x is damaged: its header is no JSON; what is wrong ends at its byte 2"},
             {R"({"a":1e999})", "x is damaged: its header has a number that is none"},
             {"[]", "x is damaged: its header is no JSON object"},
             {"3", "x is damaged: its header is no JSON object"},
             {R"({"a":3})", "x: the tensor `a` has no dtype in the header"},
             {R"({"a":{"dtype":"F32","shape":[2]}})", "x: the tensor `a` has no data_offsets in the header"},
             {R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", "x: the tensor `a` has no name for its dtype: `7`"},
             {R"({"a":{"dtype":"I16","shape":[2],"data_offsets":[0,8]}})", "x: the tensor `a` has the dtype `I16`; F16, BF16, F32, F64, I32, I64, U8, BOOL can be read"},
             {R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}})", "x: the tensor `a` has the data_offsets `[0,8]`; F16[2] needs 4 of the 8 bytes after the header"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", "x: the tensor `a` has the data_offsets `[0,9]`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", "x: the tensor `a` has the data_offsets `[4,12]`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "x: the tensor `a` has the data_offsets `[0]`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", "x: the tensor `a` has the data_offsets `[0,8,8]`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0.5,8.5]}})", "x: the tensor `a` has the data_offsets `[0.5,8.5]`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,0]}})", "x: the tensor `a` has the data_offsets `[18446744073709551608,0]`"},
             {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[8,0]}})", "x: the tensor `a` has the shape `[-2]`; whole numbers are needed, for no more than the 8 bytes after the header"},
             {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "x: the tensor `a` has the shape `[2.0]`"},
             {R"({"a":{"dtype":"F32","shape":[1.9,2],"data_offsets":[0,8]}})", "x: the tensor `a` has the shape `[1.9,2]`"},
             {R"({"a":{"dtype":"F32","shape":[true,2],"data_offsets":[0,8]}})", "x: the tensor `a` has the shape `[true,2]`"},
             {R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})", "x: the tensor `a` has the shape `\"2\"`"},
             {R"({"a":{"dtype":"F32","shape":[2,4611686018427387904],"data_offsets":[0,0]}})", "x: the tensor `a` has the shape"},
             {R"({"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}})", "x: the tensor `a` has the shape"},
             {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
              "x is damaged: the tensor `b` begins at byte 2 of the data, but `a` ends at 4"},
             {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
              "x is damaged: the tensor `b` begins at byte 5 of the data, but `a` ends at 4"},
             {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "x is damaged: the tensor `a` begins at byte 4 of the data, but the header ends at 0"},
             {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "x is damaged: 4 bytes follow `a`, the last of its tensors"},
             {"{}", "x is damaged: 8 bytes follow the header, and it lists none"},
             {R"({"__metadata__":7,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "x is damaged: its `__metadata__` is no object, but `7`"},
             {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "x is damaged: its header has `a` twice"},
             {R"({"a":{"dtype":"F16","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "x is damaged: its header has `dtype` of `a` twice"},
             {R"({"a\u0000b\u001b":{"shape":[2]}})", "x: the tensor `a\\u0000b\\u001b` has no dtype in the header"},
             {R"({"":{"shape":[2]}})", "x: the tensor `` has no dtype in the header"}})
        EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, [&] { parse_safetensors(safetensors(c.json), "x"); }), c.message) << c.json;
    for (const char *deep : {"[", "{\"a\":"}) {
        std::string json;
        for (int i = 0; i < 100000; ++i) json += deep;
        EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, [&] { parse_safetensors(safetensors(json), "x"); }), "its header is no JSON");
    }
}

}  // namespace
}  // namespace kiln::runtime::testing
