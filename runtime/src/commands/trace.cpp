// What a model computes from one picture or one record of a split: every tensor between its layers as CSV, and all of them in one picture.
#include "checkpoint/checkpoint.h"
#include "checkpoint/initial_weights.h"
#include "commands/commands.h"
#include "commands/picture_input.h"
#include "data/dataset.h"
#include "image/draw.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {
namespace {

constexpr int64_t kWidth = 1000, kGap = 6, kTitle = 22, kMostMaps = 64, kMostRows = 256;
constexpr Colour kPaper{255, 255, 255}, kInk{40, 40, 40}, kNotFinite{220, 40, 40};

/// A tensor of one sample as maps: matrices that belong beside each other.
struct Traced {
    std::string name;
    std::string type;
    int64_t maps = 1, height = 1, width = 1;
    std::vector<double> values;  ///< [maps, height, width]
    double at(int64_t map, int64_t y, int64_t x) const { return values[size_t((map * height + y) * width + x)]; }
};

/// [h, w, c] is c maps; a filter bank [r, s, c, k] is k times c maps, all of a filter one after another; [h, w] is one map, and [n] a row.
Traced as_maps(const std::string &name, DType dtype, std::vector<int64_t> shape, const uint8_t *bytes) {
    Traced t;
    t.name = name;
    t.type = type_text(dtype, shape);
    int64_t count = element_count(shape);
    std::vector<double> flat(static_cast<size_t>(count));
    convert_elements(dtype, bytes, DType::f64, reinterpret_cast<uint8_t *>(flat.data()), count);
    t.values.resize(flat.size());
    if (shape.size() >= 3) {
        t.height = shape[0];
        t.width = shape[1];
        t.maps = count / (t.height * t.width);
        int64_t last = shape.back(), channels = t.maps / last;
        for (int64_t i = 0; i < count; ++i) {
            int64_t map = i % t.maps, place = i / t.maps;
            t.values[size_t(((map % last) * channels + map / last) * t.height * t.width + place)] = flat[size_t(i)];
        }
        return t;
    }
    if (shape.size() == 2) t.height = shape[0];
    if (!shape.empty()) t.width = shape.back();
    t.values = std::move(flat);
    return t;
}

std::string csv_of(const Traced &t) {
    std::string csv;
    for (int64_t map = 0; map < t.maps; ++map) {
        if (map > 0) csv += "\n";
        for (int64_t y = 0; y < t.height; ++y)
            for (int64_t x = 0; x < t.width; ++x) csv += number_text(t.at(map, y, x)) + (x + 1 == t.width ? "\n" : ",");
    }
    return csv;
}

/// One row or column of numbers.
bool is_row(const Traced &t) { return t.maps == 1 && (t.height == 1 || t.width == 1); }

/// How a tensor is laid out in the picture; a long row is folded.
struct Tiles {
    int64_t maps, height, width, scale, in_row;
    int64_t total_height() const { return kTitle + (maps + in_row - 1) / in_row * (height * scale + kGap); }
};

Tiles tiles_of(const Traced &t) {
    bool folded = is_row(t);
    int64_t length = t.height * t.width;
    int64_t width = folded ? std::min<int64_t>(length, 100) : std::min(t.width, kWidth - 2 * kGap);
    int64_t height = folded ? std::min((length + width - 1) / width, kMostRows) : std::min(t.height, kMostRows);
    int64_t scale = std::clamp<int64_t>((folded ? 900 : 84) / std::max(width, folded ? 1 : height), 1, folded ? 9 : 16);
    return {std::min(t.maps, kMostMaps), height, width, scale, std::max<int64_t>(1, (kWidth - kGap) / (width * scale + kGap))};
}

void draw(Image &image, const Traced &t, const Tiles &tiles, int64_t top) {
    std::string title = t.name + "  " + t.type;
    if (t.maps > tiles.maps) title += format("  the first %lld of %lld maps", (long long)tiles.maps, (long long)t.maps);
    draw_text(image, top + 5, kGap, title, kInk, 1);
    bool folded = is_row(t);
    for (int64_t map = 0; map < tiles.maps; ++map) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < t.height * t.width; ++i)
            if (double value = t.values[size_t(map * t.height * t.width + i)]; std::isfinite(value)) {
                low = std::min(low, value);
                high = std::max(high, value);
            }
        int64_t y0 = top + kTitle + map / tiles.in_row * (tiles.height * tiles.scale + kGap);
        int64_t x0 = kGap + map % tiles.in_row * (tiles.width * tiles.scale + kGap);
        for (int64_t y = 0; y < tiles.height; ++y)
            for (int64_t x = 0; x < tiles.width; ++x) {
                int64_t column = folded ? y * tiles.width + x : x;
                if (folded && column >= t.height * t.width) continue;
                double value = folded ? t.values[size_t(column)] : t.at(map, y, x);
                auto grey = uint8_t(high > low ? std::lround(255 * (value - low) / (high - low)) : 128);
                Colour colour = std::isfinite(value) ? Colour{grey, grey, grey} : kNotFinite;
                fill_rectangle(image, y0 + y * tiles.scale, x0 + x * tiles.scale, tiles.scale, tiles.scale, colour);
            }
    }
}

/// A sample as the program reads it, by column: zeros where it gives nothing, as of labels.
class Sample {
public:
    explicit Sample(const Metadata &metadata) {
        for (const Column &column : metadata.columns) rows_.push_back(memory_.emplace_back(size_t(column.bytes())).data());
    }
    uint8_t *const *rows() const { return rows_.data(); }
    std::vector<const void *> columns() const { return {rows_.begin(), rows_.end()}; }

private:
    std::vector<Memory> memory_;
    std::vector<uint8_t *> rows_;
};

// The picture is read first: a mistake in its name should not wait for the weights.
std::vector<Traced> read_picture(ProgramState &state, const TraceOptions &options, const Sample &sample) {
    const PictureInput input = picture_input(state.metadata);
    const Column &column = state.metadata.columns[input.column];
    const std::vector<float> picture = picture_values(options.file, options.index, options.invert, column, input.frame);
    if (options.init.empty()) {
        load_weights(state, options.run, options.checkpoint);
    } else {
        if (state.program.init) state.program.init(state.context());
        load_initial_weights(options.init, state);
    }
    uint8_t *row = sample.rows()[input.column];
    convert_elements(DType::f32, reinterpret_cast<const uint8_t *>(picture.data()), column.dtype, row, column.elements());
    return {as_maps(column.name, column.dtype, {input.frame.height, input.frame.width, input.frame.channels}, row)};
}

std::vector<Traced> read_record(ProgramState &state, const TraceOptions &options, const Sample &sample) {
    const Metadata &metadata = state.metadata;
    const Manifest manifest = load_weights(state, options.run, options.checkpoint);
    const Dataset dataset = open_split_to_predict(options.data.empty() ? manifest.data : options.data, metadata, options.split, state.vocabularies);
    if (options.index >= dataset.records)
        fail(ExitCode::data, "split %s has %lld records; --index %lld counts from 0", options.split.c_str(), (long long)dataset.records, (long long)options.index);
    dataset.read(options.index, sample.rows());
    std::printf("%s\n", record_name(dataset, options.index).c_str());
    std::vector<Traced> inputs;
    for (size_t c = 0; c < metadata.columns.size(); ++c)
        if (const Column &column = metadata.columns[c]; column.predicts) inputs.push_back(as_maps(column.name, column.dtype, column.shape, sample.rows()[c]));
    return inputs;
}

// Layers' parameters come right before what the layer computes.
std::vector<Traced> collect(ProgramState &state, std::vector<Traced> all) {
    const Metadata &metadata = state.metadata;
    std::vector<bool> shown(metadata.storages.size(), false);
    auto add_parameters = [&](const std::string &prefix) {
        for (size_t i = 0; i < metadata.storages.size(); ++i) {
            const Storage &storage = metadata.storages[i];
            std::string name = storage.path.substr(storage.path.find('/') + 1);
            if (shown[i] || storage.kind != StorageKind::param || !name.starts_with(prefix)) continue;
            shown[i] = true;
            std::replace(name.begin(), name.end(), '/', '.');
            all.push_back(as_maps(name, storage.dtype, storage.shape, state.storage(storage)));
        }
    };
    for (const Output &trace : metadata.traces) {
        add_parameters(trace.name.substr(0, trace.name.find('.')) + "/");
        std::string name = trace.name;
        std::replace(name.begin(), name.end(), '/', '.');
        all.push_back(as_maps(name, trace.dtype, {trace.shape.begin() + 1, trace.shape.end()}, state.output(trace)));
    }
    add_parameters("");
    return all;
}

}  // namespace

void trace_command(ProgramState &state, const TraceOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.trace_step || metadata.traces.empty())
        fail(ExitCode::usage, "%s computes nothing for one sample alone that could be traced", metadata.source.c_str());
    const Sample sample(metadata);
    std::vector<Traced> inputs = options.split.empty() ? read_picture(state, options, sample) : read_record(state, options, sample);
    state.set_columns(sample.columns());
    state.program.trace_step(state.context());

    const std::vector<Traced> all = collect(state, std::move(inputs));
    make_folders(options.out);
    std::vector<std::vector<std::string>> rows{{"file", "shape", "smallest", "largest"}};
    int64_t height = kGap;
    for (const Traced &t : all) height += tiles_of(t).total_height();
    Image image = blank_picture(height, kWidth, kPaper);
    int64_t top = 0;
    for (const Traced &t : all) {
        std::string file = t.name + ".csv";
        replace_file(options.out + "/" + file, csv_of(t));
        auto [least, most] = std::minmax_element(t.values.begin(), t.values.end());
        rows.push_back({file, t.type, short_number(*least), short_number(*most)});
        Tiles tiles = tiles_of(t);
        draw(image, t, tiles, top);
        top += tiles.total_height();
    }
    replace_file(options.out + "/trace.png", encode_png(image));
    std::printf("%s", table(rows, {2, 3}).c_str());
    std::printf("%zu tensors in %s, all of them in %s/trace.png\n", all.size(), options.out.c_str(), options.out.c_str());
}

}  // namespace kiln::runtime
