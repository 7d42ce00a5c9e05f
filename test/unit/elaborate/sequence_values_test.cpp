// Layers over sequences, by the numbers of torch 2.15 in f64 with the same weights: element k of every tensor is sin(seed + 0.7 k^2).
// PyTorch's matrices are the transposed ones; bias_ih is b, and bias_hh is 0, or c for the last third of a GRU's. Its key has a bias, sin(8 + ..), which
// changes nothing.
#include "model_values.h"

#include <cmath>

namespace kiln {
namespace {

using Values = std::vector<double>;

Values wave(double seed, int count) {
    Values values;
    for (int k = 0; k < count; ++k) values.push_back(std::sin(seed + 0.7 * k * k));
    return values;
}

struct Recurrent {
    const char *name;
    int gates;
    Values all, reversed;                          ///< [2, 3, 2]: the states in the order of the sequence
    std::map<std::string, Values> gradients;       ///< of the mean of the squares of `all`
};

const std::vector<Recurrent> &recurrent_layers() {
    static const std::vector<Recurrent> layers{
        {"LSTM", 4,
         {0.3387976882, 0.2832273173, 0.217115644, 0.2682357559, 0.0927026444, 0.1111846628, 0.072663656, 0.0324446076, 0.4032000357, 0.2693301122, 0.1853123457, 0.1195704254},
         {0.3849484124, 0.3036538101, 0.0588920184, 0.1980264829, 0.0005531439, -0.0022543969, 0.1903792309, 0.1294908756, 0.4018494068, 0.2684827614, 0.0702790522, 0.0270174942},
         {{"W", {0.0174028831, 0.0066069105, 0.0019416432, -0.0005197501, 0.0115118763, 0.0017772444, 0.0134687424, 0.010448617,
                 0.0147731555, 0.0160400509, 0.0016539153, 0.0013272797, -0.0013224948, 0.0029812969, 0.0144349812, 0.0109953482}},
          {"U", {0.0019527221, 0.0031545182, 0.0012565198, 0.0009950683, 0.0016832106, 0.0014493461, 0.0038090231, 0.0020477345,
                 0.0012972656, 0.002522777, 0.0009479608, 0.0008599903, 0.0012378815, 0.0013061638, 0.0028170122, 0.0014991605}},
          {"b", {0.0225881767, 0.0204771751, 0.0049955864, 0.0035126142, 0.0157150271, 0.0088588757, 0.0241312947, 0.0162697767}}}},
        {"GRU", 3,
         {0.2570360293, -0.0169536709, 0.2189316572, -0.4081037128, 0.1827101186, 0.2885945503, 0.2893262121, 0.5551351173, 0.4165286653, 0.4329679109, 0.4713714511, 0.7439057953},
         {0.2620842856, -0.2324601497, -0.0224441677, -0.3104856809, -0.0015535828, 0.3118194873, 0.4602335475, 0.7365030455, 0.429001948, 0.4465231236, 0.3125037033, 0.5725064079},
         {{"W", {-0.0369467899, -0.0037553281, -0.0292101213, -0.0228177364, 0.173898955, 0.0533952782, -0.0021671134, 0.0027930546, -0.0050357377, 0.0338797526, 0.015152877,
                 -0.0338312472}},
          {"U", {-0.0077481765, -0.0008382269, -0.0010807053, -0.0071188036, 0.0206625779, 0.0045290158, -0.0097964674, -0.0004876294, -0.0033874904, 0.0018111217, 0.028966842,
                 0.0004349325}},
          {"b", {-0.0455222416, -0.0050631543, -0.0286740606, -0.0502907429, 0.2280356898, 0.05779989}},
          {"c", {0.1152632004, 0.0247362197}}}},
        {"SimpleRNN", 1,
         {-0.7528565177, 0.2490095136, -0.9830906194, -0.0642096549, -0.6912126906, -0.7393816088, 0.6126536733, -0.8441856077, -0.2969921127, -0.1889161972, 0.7257661445,
          -0.8188200672},
         {-0.7574344225, 0.6197833555, -0.9500222016, -0.2656348193, -0.6299736103, -0.8980402662, 0.6547766441, -0.8065407476, -0.2792206376, -0.2364601372, 0.7033316222,
          -0.8583577601},
         {{"W", {0.0878323611, -0.0885177885, -0.1545673021, 0.0755757693}},
          {"U", {0.0359184732, 0.0229320456, 0.0053977102, 0.066475222}},
          {"b", {0.0019466643, -0.1502586467}}}},
    };
    return layers;
}

std::map<std::string, Values> weights_of(const Recurrent &layer, const std::string &path) {
    return {{"x", wave(1, 12)}, {path + "/W", wave(2, 4 * layer.gates)}, {path + "/U", wave(3, 4 * layer.gates)}, {path + "/b", wave(4, 2 * layer.gates)}, {path + "/c", wave(5, 2)}};
}

/// States of a place, [2, 2].
Values at(const Values &states, size_t place) { return {states[2 * place], states[2 * place + 1], states[6 + 2 * place], states[7 + 2 * place]}; }

std::string path_of(const Recurrent &layer) { return layer.name == std::string("SimpleRNN") ? "M/simple_rnn" : layer.gates == 4 ? "M/lstm" : "M/gru"; }

TEST(SequenceValues, RecurrentLayersAreThoseOfPyTorch) {
    for (const Recurrent &layer : recurrent_layers()) {
        SCOPED_TRACE(layer.name);
        auto states = [&](const std::string &arguments) {
            return run("x: f64[3, 2]", "h = x |> " + std::string(layer.name) + "(2" + arguments + ")\nloss mse(h, 0 * h)\noutput h", "predict", weights_of(layer, path_of(layer)))["h"];
        };
        expect_near(states(", return_sequence = true"), layer.all, 1e-9);
        expect_near(states(""), at(layer.all, 2), 1e-9);
        expect_near(states(", return_sequence = true, reverse = true"), layer.reversed, 1e-9);
        expect_near(states(", reverse = true"), at(layer.reversed, 0), 1e-9);
    }
}

TEST(SequenceValues, GradientsOfRecurrentLayersAreThoseOfPyTorch) {
    for (const Recurrent &layer : recurrent_layers()) {
        SCOPED_TRACE(layer.name);
        const std::string model = "h = x |> " + std::string(layer.name) + "(2, return_sequence = true)\nloss mse(h, 0 * h)\noutput h";
        auto found = run("x: f64[3, 2]", model, "gradients", weights_of(layer, path_of(layer)));
        for (const auto &[name, gradient] : layer.gradients) expect_near(found["gradient:" + path_of(layer) + "/" + name], gradient, 1e-9);
    }
}

TEST(SequenceValues, ABidirectionalLayerIsTwoSideBySide) {
    const Recurrent &lstm = recurrent_layers()[0];
    auto given = weights_of(lstm, "M/bidirectional_1/lstm_1");
    given.merge(weights_of(lstm, "M/bidirectional_1/lstm_2"));
    auto found = run("x: f64[3, 2]", "h = x |> Bidirectional(LSTM(2, return_sequence = true))\ne = x |> Bidirectional(GRU(2))\nloss mse(h, 0 * h)\noutput h\noutput e", "predict", given);
    Values expected;
    for (size_t i = 0; i < 6; ++i)
        for (const Values *states : {&lstm.all, &lstm.reversed}) expected.insert(expected.end(), {(*states)[2 * i], (*states)[2 * i + 1]});
    expect_near(found["h"], expected, 1e-9);
    EXPECT_EQ(found["e"].size(), 8u);
}

TEST(SequenceValues, AnLSTMBeginsByRemembering) {
    auto found = run("x: f64[3, 2]", "h = x |> LSTM(2)\nloss mse(h, 0 * h)", "init", {});
    EXPECT_EQ(found["M/lstm/b"], (Values{0, 0, 1, 1, 0, 0, 0, 0}));
    const Values &u = found["M/lstm/U"];  // two orthonormal rows
    double first = 0, between = 0;
    for (size_t k = 0; k < 8; ++k) first += u[k] * u[k], between += u[k] * u[8 + k];
    EXPECT_NEAR(first, 1, 1e-9);
    EXPECT_NEAR(between, 0, 1e-9);
}

std::map<std::string, Values> attention_weights(const std::string &path) {
    std::map<std::string, Values> given{{"x", wave(1, 24)}, {"y", wave(6, 24)}};
    int seed = 0;
    for (const char *name : {"query", "key", "value", "output"}) {
        given[path + "/" + name + "/W"] = wave(2 + seed, 16);
        given[path + "/" + name + "/b"] = wave(7 + seed++, 4);
    }
    return given;
}

TEST(SequenceValues, MultiHeadAttentionIsThatOfPyTorch) {
    auto attention = [&](const std::string &inputs, const std::string &arguments, const std::map<std::string, Values> &more = {}) {
        auto given = attention_weights("M/multi_head_attention");
        given.insert(more.begin(), more.end());
        return run("x: f64[3, 4]" + inputs, "h = x |> MultiHeadAttention(2" + arguments + ")\nloss mse(h, 0 * h)\noutput h", "predict", given)["h"];
    };
    const Values itself{-0.7334679644, -0.4220707496, 0.223544167, -2.4444700451, -0.6573356218, -0.1234494866, 0.5698160137, -3.6896546136,
                        -1.0054886785, -0.4139663248, -0.0076743038, -3.3128097558, -0.5904853892, -0.4811294329, 0.5265499083, -0.9421951913,
                        -1.1081304771, -0.3231656485, -0.0035251474, -2.9998279958, -1.0272169988, -0.2781654486, 0.0023522608, -2.9484051887};
    expect_near(attention("", ""), itself, 1e-9);
    expect_near(attention("", ", size = 2, context = x"), itself, 1e-9);
    expect_near(attention("", ", causal = true"),
                {0.2539428913, -0.1071426256, 1.0710098903, -0.2152621645, -0.7844173201, -0.4794378584, 0.3805536426, -2.6920189847,
                 -1.0054886785, -0.4139663248, -0.0076743038, -3.3128097558, 2.2281168312, 1.1180991148, 0.9558479179, 0.6434127416,
                 -0.1598870844, 0.2207855724, 0.0578668065, -2.2940609534, -1.0272169988, -0.2781654486, 0.0023522608, -2.9484051887}, 1e-9);
    expect_near(attention(", y: f64[3, 4]", ", context = y"),
                {-0.4748354619, -0.4378130916, 0.9011032402, -2.1228356357, -0.4378600444, -0.2407882212, 0.5290342198, -2.4650047851,
                 -0.5315422556, -0.2373681463, 0.7698277596, -2.8268150533, -0.5112698996, -1.0693505133, 0.2571891495, -0.1683348178,
                 0.0442405558, -0.1105007447, 0.3957636502, -1.140603761, -0.0832159273, -0.2216792904, 0.4686803934, -1.1489011701}, 1e-9);
    expect_near(attention(", shown: i32[3]", ", mask = shown > 0", {{"shown", {1, 0, 1, 1, 1, 0}}}),
                {-0.2903010961, -0.1705566538, 0.6078441757, -1.7487994482, -0.4444417121, 0.0383798558, 0.6226470882, -3.3713752182,
                 -0.8320601552, -0.2428039312, 0.1409237877, -3.2275592096, 0.4343156968, 0.0820507566, 0.5409758553, -0.1843196366,
                 -0.1598870844, 0.2207855724, 0.0578668065, -2.2940609534, -0.0768217416, 0.2597080629, 0.0835723195, -2.2212479684}, 1e-9);
}

TEST(SequenceValues, GradientsOfAttentionAreThoseOfPyTorch) {
    auto found = run("x: f64[3, 4]", "h = x |> MultiHeadAttention(2)\nloss mse(h, 0 * h)", "gradients", attention_weights("M/multi_head_attention"));
    const std::string path = "gradient:M/multi_head_attention/";
    expect_near(found[path + "query/W"], {0.0111978357, 0.0249735132, -0.3352785396, 0.1685720122, 0.0506354217, 0.0497239155, -0.3291196178, -0.1217085188,
                                          -0.0746155772, -0.1200662899, -0.2034346046, -0.1293713079, 0.097780567, 0.1188167577, 0.0963820177, -0.1536079636}, 1e-9);
    expect_near(found[path + "key/W"], {-0.0323339149, -0.0802032301, -0.9393974645, 0.3022985474, 0.0320325213, 0.0133154555, 0.5182948061, -0.3113091082,
                                        -0.0140722119, 0.0768504626, 0.2195409275, -0.0469422368, -0.0354853592, -0.1640200018, -0.0087605828, -0.0411330924}, 1e-9);
    expect_near(found[path + "value/W"], {0.0316583589, -0.1196917355, -0.1018539546, 0.058717326, 1.6798915324, -1.0224071114, -0.5897541017, 0.8153388782,
                                          0.1951659221, -0.08682393, -0.6229204651, 0.8325293457, 1.1311585862, -0.6634876083, -0.0008860113, 0.1364340213}, 1e-9);
    expect_near(found[path + "output/W"], {-0.0900264833, -0.037630001, 0.0219187386, -0.2472291287, -0.1142663949, -0.0533938209, 0.0031526897, -0.1919646231,
                                           0.7091479178, 0.2564392774, -0.1380309846, 2.2833068565, -0.3888987729, -0.1246111207, 0.0589265141, -1.3678243819}, 1e-9);
}

TEST(SequenceValues, ABlockNormalisesFirst) {
    auto given = attention_weights("M/transformer_block/multi_head_attention");
    for (const auto &[name, value] : {std::pair("dense_1/W", wave(11, 32)), std::pair("dense_1/b", wave(12, 8)), std::pair("dense_2/W", wave(13, 32)), std::pair("dense_2/b", wave(14, 4))})
        given[std::string("M/transformer_block/") + name] = value;
    const Values expected{-1.9131926306, -0.0178285297, 2.8579807727, 3.9959153691, -1.5130880812, 0.510754532, -0.2926533045, -3.5618462626,
                          -0.546359328, 0.38331836, 0.1901162055, -4.3368610964, 5.7691851385, -0.4822289802, 6.1222678089, 5.5218794182,
                          -0.3697257099, 1.980329989, -0.9266757524, 0.6399099838, -1.1940712637, 1.2414102416, -1.9245062542, -0.5868665525};
    auto found = run("x: f64[3, 4]", "h = x |> TransformerBlock(2, causal = true, dropout = 0.5, expansion = 2)\nloss mse(h, 0 * h)\noutput h", "predict", given);
    expect_near(found["h"], expected, 1e-9);
    // In training weights, and what is added, are left out.
    const std::string model = "h = x |> TransformerBlock(2, causal = true, dropout = 0.5, expansion = 2)\nloss mse(h, 0 * h)";
    double squares = 0;
    for (double value : expected) squares += value * value / 24;
    EXPECT_GT(std::abs(run("x: f64[3, 4]", model, "train", given)["loss"][0] - squares), 0.1);
}

TEST(SequenceValues, AQueryThatMayLookNowhereGetsTheMean) {
    const std::string model = "h = scaled_dot_product_attention(x, x, x, mask = reshape(shown, [2, 1, 2]) > 0) |> Dense(1, init = ones, use_bias = false)\nloss mse(h, 0 * h)\noutput h";
    auto found = run("x: f64[2, 1], shown: i32[2]", model, "predict", {{"x", {1, 3, 5, 9}}, {"shown", {0, 0, 0, 1}}});
    expect_near(found["h"], {2, 2, 9, 9});
}

TEST(SequenceValues, PlacesAreSinesAndCosinesOrTrained) {
    const std::string model = "h = x |> PositionEncoding()\ne = x |> PositionEmbedding()\nloss mse(h, e)\noutput h\noutput e";
    auto found = run("x: f64[2, 4]", model, "predict", {{"x", {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}}, {"M/position_embedding/W", {1, 2, 3, 4, 5, 6, 7, 8}}});
    const double s = std::sin(1.0), c = std::cos(1.0), slow_s = std::sin(0.01), slow_c = std::cos(0.01);
    expect_near(found["h"], {0, 1, 0, 1, s, c, slow_s, slow_c, 1, 2, 1, 2, 1 + s, 1 + c, 1 + slow_s, 1 + slow_c});
    expect_near(found["e"], {1, 2, 3, 4, 5, 6, 7, 8, 2, 3, 4, 5, 6, 7, 8, 9});
}

}  // namespace
}  // namespace kiln
