// factors: what the tables of a trained model have learned: principal components as a table and as pictures, and the nearest rows of each.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "data/dataset.h"
#include "factors/principal_components.h"
#include "factors/scatter.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace kiln::runtime {
namespace {

/// Neighbours of each row take time with the square of the rows.
constexpr int64_t kMostRowsWithNeighbours = 50000;

/// A parameter with a row for each class of an input.
struct Factors {
    const Storage *storage = nullptr;
    const Column *input = nullptr;  ///< null: several inputs read it
};

/// The inputs whose classes are the rows of this table. That they are as many is not enough: two inputs may have the same number.
std::vector<const Column *> readers_of(const Metadata &metadata, size_t storage) {
    std::vector<const Column *> inputs;
    for (const Column &column : metadata.columns)
        for (const Embedding &embedding : metadata.embeddings)
            if (embedding.storage == storage && embedding.input == column.name && column.classes == metadata.storages[storage].shape[0]) inputs.push_back(&column);
    return inputs;
}

std::vector<Factors> find_factors(const Metadata &metadata, const FactorsOptions &options) {
    std::vector<Factors> found;
    std::vector<std::string> possible;
    for (size_t i = 0; i < metadata.storages.size(); ++i) {
        const Storage &storage = metadata.storages[i];
        if (storage.kind != StorageKind::param || storage.shape.empty()) continue;
        std::vector<const Column *> inputs = readers_of(metadata, i);
        if (!options.input.empty()) std::erase_if(inputs, [&](const Column *column) { return column->name != options.input; });
        if (inputs.empty()) continue;
        possible.push_back(storage.path);
        if (options.parameter.empty() || options.parameter == storage.path) found.push_back({&storage, inputs.size() == 1 ? inputs[0] : nullptr});
    }
    if (!found.empty()) return found;
    if (possible.empty())
        fail(ExitCode::usage, "%s has no parameter with a row for each class of %s", metadata.source.c_str(),
             options.input.empty() ? "an input" : ("the input `" + options.input + "`").c_str());
    fail(ExitCode::usage, "there is no table `%s`; tables: %s", options.parameter.c_str(), join(possible, ", ").c_str());
}

Table table_of(ProgramState &state, const Storage &storage, int64_t rows) {
    Table table{rows, element_count(storage.shape) / storage.shape[0], {}};
    table.values.resize(size_t(table.rows * table.columns));
    convert_elements(storage.dtype, state.storage(storage), DType::f64, reinterpret_cast<uint8_t *>(table.values.data()), table.rows * table.columns);
    return table;
}

std::string csv_of(const Table &table, const Components &components, const std::vector<std::string> &names, int64_t neighbours) {
    const int64_t count = components.scores.columns;
    std::string csv = "row,name";
    for (int64_t k = 1; k <= count; ++k) csv += format(",component_%lld", (long long)k);
    for (int64_t k = 1; k <= neighbours; ++k) csv += format(",neighbour_%lld,similarity_%lld", (long long)k, (long long)k);
    csv += "\n";
    for (int64_t row = 0; row < table.rows; ++row) {
        csv += format("%lld,%s", (long long)row, csv_field(names[size_t(row)]).c_str());
        for (int64_t k = 0; k < count; ++k) csv += format(",%.9g", components.scores.row(row)[k]);
        if (neighbours > 0)
            for (const Neighbour &n : nearest_rows(table, row, neighbours)) csv += format(",%s,%.9g", csv_field(names[size_t(n.row)]).c_str(), n.similarity);
        csv += "\n";
    }
    return csv;
}

/// The rows at both ends of a component.
std::string ends_text(const Components &components, int64_t k, const std::vector<std::string> &names) {
    std::vector<int64_t> order(static_cast<size_t>(components.scores.rows));
    std::iota(order.begin(), order.end(), int64_t(0));
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return components.scores.row(a)[k] < components.scores.row(b)[k]; });
    std::vector<std::string> low, high;
    for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
        low.push_back(on_one_line(names[size_t(order[i])]));
        high.push_back(on_one_line(names[size_t(order[order.size() - 1 - i])]));
    }
    return "lowest: " + join(low, "; ") + "\n               highest: " + join(high, "; ");
}

void show(ProgramState &state, const Factors &factors, const FactorsOptions &options) {
    const Storage &storage = *factors.storage;
    const Vocabulary *vocabulary = nullptr;
    if (factors.input)
        if (auto found = state.vocabularies.find(factors.input->name); found != state.vocabularies.end()) vocabulary = &found->second;
    const int64_t rows = vocabulary ? std::min(vocabulary->rows(), storage.shape[0]) : storage.shape[0];  // the rest of a capacity means nothing
    const Table table = table_of(state, storage, rows);
    std::vector<std::string> names;
    for (int64_t row = 0; row < rows; ++row) names.push_back(vocabulary ? vocabulary->name(row) : std::to_string(row));

    const Components components = principal_components(table, options.components);
    std::vector<std::string> shares;
    for (double share : components.shares) shares.push_back(format("%.1f %%", 100 * share));
    std::printf("%s: %s rows%s, %lld numbers each; the components have %s of the variance\n", storage.path.c_str(), grouped(rows).c_str(),
                factors.input ? (" of " + factors.input->name).c_str() : "", (long long)table.columns, join(shares, ", ").c_str());
    for (int64_t k = 0; k < components.scores.columns; ++k) std::printf("  component %lld  %s\n", (long long)k + 1, ends_text(components, k, names).c_str());

    int64_t neighbours = std::min(options.neighbours, rows - 1);
    if (rows > kMostRowsWithNeighbours) {
        std::printf("  more than %s rows: without neighbours\n", grouped(kMostRowsWithNeighbours).c_str());
        neighbours = 0;
    }
    Scatter scatter{storage.path, "component 1", "component 2", {}, {}, names, size_t(options.labels)};
    for (int64_t row = 0; row < rows; ++row) {
        scatter.x.push_back(components.scores.row(row)[0]);
        scatter.y.push_back(components.scores.columns > 1 ? components.scores.row(row)[1] : double(row));
    }
    if (components.scores.columns == 1) scatter.y_name = "row";

    std::string base = storage.path;
    std::replace(base.begin(), base.end(), '/', '.');
    base = options.out + "/" + base;
    make_folders(options.out);
    replace_file(base + ".csv", csv_of(table, components, names, neighbours));
    replace_file(base + ".svg", scatter_svg(scatter));
    replace_file(base + ".png", scatter_png(scatter));
    std::printf("  %s.csv, .svg, .png\n", base.c_str());
}

}  // namespace

void factors_command(ProgramState &state, const FactorsOptions &options) {
    const std::vector<Factors> all = find_factors(state.metadata, options);
    load_checkpoint(options.run, options.checkpoint, state, false);
    for (const Factors &factors : all) show(state, factors, options);
    if (std::any_of(all.begin(), all.end(), [](const Factors &f) { return !f.input; }))
        std::printf("several inputs read tables above whose rows have no names: --input NAME gives them those of one\n");
}

}  // namespace kiln::runtime
