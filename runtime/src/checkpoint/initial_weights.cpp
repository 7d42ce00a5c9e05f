#include "checkpoint/initial_weights.h"

#include "checkpoint/safetensors.h"
#include "data/dataset.h"
#include "data/vocabulary.h"
#include "support/file.h"
#include "support/text.h"
#include "kiln/names.h"

#include <algorithm>
#include <utility>

namespace kiln::runtime {
namespace {

using Patterns = std::vector<std::string>;

bool is_real(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

/// A path without its first component, which is the model's name.
std::string within_model(const std::string &path) { return path.substr(path.find('/') + 1); }

bool is_taken(const TensorView &tensor, const Patterns &only) {
    return only.empty() || std::ranges::any_of(only, [&](const std::string &pattern) { return path_matches(pattern, within_model(tensor.name)); });
}

std::vector<const Storage *> targets_of(const Metadata &metadata) {
    std::vector<const Storage *> targets;
    for (const Storage &storage : metadata.storages)
        if (storage.kind != StorageKind::state) targets.push_back(&storage);
    return targets;
}

/// What a message says of a pattern that matches none of the paths.
std::string instead_of(const std::string &pattern, const std::vector<std::string> &paths) {
    const bool is_layer = std::ranges::any_of(paths, [&](const std::string &path) { return path_matches(pattern + "/*", path); });
    return "without the model's name in front there are " + quoted_list(paths) + (is_layer ? "; " + quoted_name(pattern + "/*") + " takes those of the layer" : "");
}

void check_patterns(const std::string &path, const std::vector<TensorView> &tensors, const Metadata &metadata, const Patterns &only) {
    std::vector<std::string> in_file, in_program;
    for (const TensorView &tensor : tensors) in_file.push_back(within_model(tensor.name));
    for (const Storage *storage : targets_of(metadata)) in_program.push_back(within_model(storage->path));
    for (const std::string &pattern : only) {
        auto matches = [&](const std::string &each) { return path_matches(pattern, each); };
        if (std::ranges::none_of(in_program, matches))
            fail(ExitCode::usage, "--init-only %s matches no parameter of this program; %s", quoted_name(pattern).c_str(), instead_of(pattern, in_program).c_str());
        if (std::ranges::none_of(in_file, matches))
            fail(ExitCode::checkpoint, "%s: --init-only %s matches no tensor of the file; %s", path.c_str(), quoted_name(pattern).c_str(), instead_of(pattern, in_file).c_str());
    }
}

// Training would end with a loss that is NaN, in a step that is not to blame. A buffer that is taken as it is may be infinite: a least value so far begins so.
void check_values(const TensorView &tensor, const Storage &target, const std::string &path) {
    if (target.kind == StorageKind::buffer && tensor.dtype == target.dtype) return;
    const int64_t wrong = first_without_place(tensor.dtype, tensor.data, target.dtype, element_count(target.shape));
    if (wrong >= 0)
        fail(ExitCode::checkpoint, "%s: %s has the value %s (element %lld, counted from 0), which is no number of %s", path.c_str(), tensor.name.c_str(),
             element_text(tensor.dtype, tensor.data, wrong).c_str(), (long long)wrong, name_of(target.dtype));
}

/// The parameter or buffer that a tensor of the file is for.
const Storage &target_of(const TensorView &tensor, const std::string &path, const Metadata &metadata, const Patterns &only) {
    const char *hint = only.empty() ? "`train --init-only PATTERN` takes a part of a file, of another model too" : "a narrower --init-only leaves it aside";
    auto is_target = [&](const Storage *storage) { return only.empty() ? storage->path == tensor.name : within_model(storage->path) == within_model(tensor.name); };
    const std::vector<const Storage *> targets = targets_of(metadata);
    const auto found = std::ranges::find_if(targets, is_target);
    if (found == targets.end())
        fail(ExitCode::checkpoint, "%s: this program has no parameter %s; `summary` lists them, and %s", path.c_str(),
             quoted_name(only.empty() ? tensor.name : within_model(tensor.name)).c_str(), hint);
    const Storage &target = **found;
    if (tensor.shape != target.shape || (tensor.dtype != target.dtype && !(is_real(tensor.dtype) && is_real(target.dtype))))
        fail(ExitCode::checkpoint, "%s: %s is %s there and %s in this program; %s", path.c_str(), tensor.name.c_str(), type_text(tensor.dtype, tensor.shape).c_str(),
             type_text(target.dtype, target.shape).c_str(), hint);
    check_values(tensor, target, path);
    return target;
}

/// The vocabularies of the checkpoint that the file lies in; none of a file from elsewhere.
Vocabularies vocabularies_beside(const std::string &path) {
    const size_t slash = path.rfind('/');
    const std::string file = (slash == path.npos ? "" : path.substr(0, slash + 1)) + kVocabulariesFile;
    return exists(file) ? parse_vocabularies(read_file(file, ExitCode::checkpoint), file) : Vocabularies();
}

/// Of each row of a table the one in the file that is of the same value, -1 for a value that the file lacks. Nothing where rows are the same, or have no values.
std::vector<int64_t> rows_in_file(const ProgramState &state, const Storage &target, const Vocabularies &beside) {
    for (const Embedding &embedding : state.metadata.embeddings) {
        const auto own = state.vocabularies.find(embedding.input), other = beside.find(embedding.input);
        if (&state.metadata.storages[embedding.storage] != &target || own == state.vocabularies.end() || other == beside.end()) continue;
        if (own->second.values() == other->second.values() && own->second.unknown().has_value() == other->second.unknown().has_value()) continue;
        std::vector<int64_t> rows;
        const std::vector<std::string> &known = other->second.values();
        for (const std::string &value : own->second.values()) {
            const int64_t row = other->second.row(value);
            rows.push_back(row < int64_t(known.size()) ? row : -1);
        }
        if (own->second.unknown()) rows.push_back(other->second.unknown() ? int64_t(known.size()) : -1);
        rows.resize(size_t(target.shape[0]), -1);
        return rows;
    }
    return {};
}

/// Outputs have the classes of the label in the order of its vocabulary, which is not told from the weights.
void note_other_labels(const ProgramState &state, const Vocabularies &beside, const std::string &path) {
    for (const auto &[input, vocabulary] : state.vocabularies) {
        const auto other = beside.find(input);
        const bool is_table = std::ranges::any_of(state.metadata.embeddings, [&](const Embedding &e) { return e.input == input; });
        if (!is_table && other != beside.end() && other->second.values() != vocabulary.values())
            std::fprintf(stderr, "warning: the values of `%s` are not those that the run of %s had: what its weights say of one class they now say of another\n", input.c_str(), path.c_str());
    }
}

}  // namespace

InitialWeights load_initial_weights(const std::string &path, ProgramState &state, const Patterns &only) {
    const std::string content = read_file(path, ExitCode::checkpoint);
    const std::vector<TensorView> tensors = parse_safetensors(content, path);
    if (tensors.empty()) fail(ExitCode::checkpoint, "%s holds no tensors: there is nothing to begin with", path.c_str());
    check_patterns(path, tensors, state.metadata, only);
    std::vector<std::pair<const TensorView *, const Storage *>> pairs;
    for (const TensorView &tensor : tensors) {
        if (!is_taken(tensor, only)) continue;
        const Storage *target = &target_of(tensor, path, state.metadata, only);
        const auto other = std::ranges::find(pairs, target, [](const auto &pair) { return pair.second; });
        if (other != pairs.end())
            fail(ExitCode::checkpoint, "%s has both %s and %s, which are the same without the model's name in front: --init-only takes neither", path.c_str(),
                 quoted_name(other->first->name).c_str(), quoted_name(tensor.name).c_str());
        pairs.emplace_back(&tensor, target);
    }
    const Vocabularies beside = vocabularies_beside(path);
    note_other_labels(state, beside, path);
    for (const auto &[tensor, target] : pairs) {
        const std::vector<int64_t> rows = rows_in_file(state, *target, beside);
        const int64_t count = element_count(target->shape), width = rows.empty() ? count : count / target->shape[0];
        if (rows.empty()) convert_elements(tensor->dtype, tensor->data, target->dtype, state.storage(*target), count);
        for (size_t row = 0; row < rows.size(); ++row)
            if (rows[row] >= 0)
                convert_elements(tensor->dtype, tensor->data + rows[row] * width * size_of(tensor->dtype), target->dtype, state.storage(*target) + int64_t(row) * width * size_of(target->dtype), width);
    }
    return {pairs.size(), tensors.size(), targets_of(state.metadata).size()};
}

}  // namespace kiln::runtime
