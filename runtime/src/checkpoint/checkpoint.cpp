#include "checkpoint/checkpoint.h"

#include "checkpoint/safetensors.h"
#include "support/file.h"
#include "support/hash.h"
#include "support/replacement.h"
#include "support/text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace kiln::runtime {
namespace {

constexpr const char *kWeights = "weights.safetensors";
constexpr const char *kState = "state.safetensors";
constexpr const char *kPseudoLabels = "pseudo_labels.safetensors";
constexpr const char *kManifest = "manifest.json";

std::string fresh_name(const std::string &run, const std::string &name) { return run + "/." + name + ".new"; }
std::string aside_name(const std::string &run, const std::string &name) { return run + "/." + name + ".old"; }

// Where a checkpoint lies, also after a kill while it was saved or replaced: reading needs no recovery.
std::string folder_of(const std::string &run, const std::string &name) {
    std::vector<std::string> places{run + "/" + name, aside_name(run, name)};
    for (std::string &place : Replacement::places(run, name)) places.push_back(std::move(place));
    const auto found = std::find_if(places.begin(), places.end(), exists);
    return found == places.end() ? places[0] : *found;
}

FileRecord write_tensors(const std::string &path, const std::vector<TensorView> &tensors, const std::string &model) {
    FileDescriptor file = create_file(path);
    Xxh64 hash;
    int64_t total = 0;
    auto write = [&](const void *bytes, size_t count) {
        write_all(file, path, bytes, count);
        hash.update(bytes, count);
        total += int64_t(count);
    };
    std::string header = safetensors_header(tensors, model);
    write(header.data(), header.size());
    for (const TensorView &tensor : tensors) write(tensor.data, size_t(tensor.bytes()));
    flush_to_disk(file, path);
    return {total, hash_text(hash.digest())};
}

FileRecord write_storages(const std::string &path, ProgramState &state, bool of_optimizer) {
    std::vector<TensorView> tensors;
    for (const Storage &storage : state.metadata.storages)
        if ((storage.kind == StorageKind::state) == of_optimizer)
            tensors.push_back({storage.path, storage.dtype, storage.shape, state.storage(storage)});
    return write_tensors(path, tensors, state.metadata.model);
}

FileRecord write_pseudo_labels(const std::string &path, const PseudoLabelSets &labels, const std::string &model) {
    auto bytes = [](const auto &values) { return reinterpret_cast<const uint8_t *>(values.data()); };
    std::vector<TensorView> tensors{{"phase", DType::i64, {1}, reinterpret_cast<const uint8_t *>(&labels.phase)}};
    for (const PseudoLabels &set : labels.sets) {
        const auto records = int64_t(set.classes.size());
        tensors.push_back({set.split + ".class", DType::i32, {records}, bytes(set.classes)});
        tensors.push_back({set.split + ".confidence", DType::f32, {records}, bytes(set.confidence)});
        if (!set.targets.empty()) tensors.push_back({set.split + ".target", DType::f32, {records, int64_t(set.targets.size()) / records}, bytes(set.targets)});
        if (set.agreement) tensors.push_back({set.split + ".agreement", DType::f64, {1}, reinterpret_cast<const uint8_t *>(&*set.agreement)});
    }
    return write_tensors(path, tensors, model);
}

PseudoLabelSets parse_pseudo_labels(const std::string &content, const std::string &path, const Metadata &metadata) {
    std::vector<TensorView> tensors = parse_safetensors(content, path);
    auto find = [&](const std::string &name, DType dtype, const std::vector<int64_t> &shape) -> const uint8_t * {
        auto tensor = std::find_if(tensors.begin(), tensors.end(), [&](const TensorView &t) { return t.name == name; });
        if (tensor == tensors.end()) return nullptr;
        if (tensor->dtype != dtype || (!shape.empty() && tensor->shape != shape))
            fail(ExitCode::checkpoint, "%s is of another model: %s is %s there", path.c_str(), name.c_str(), type_text(tensor->dtype, tensor->shape).c_str());
        return tensor->data;
    };
    auto need = [&](const std::string &name, DType dtype, const std::vector<int64_t> &shape) {
        const uint8_t *data = find(name, dtype, shape);
        if (!data) fail(ExitCode::checkpoint, "%s is of another model: it has no tensor %s", path.c_str(), name.c_str());
        return data;
    };
    PseudoLabelSets labels;
    std::memcpy(&labels.phase, need("phase", DType::i64, {1}), sizeof labels.phase);
    if (labels.phase < 0 || labels.phase >= int64_t(metadata.phases.size()) || !metadata.pseudo_label)
        fail(ExitCode::checkpoint, "%s is of another model: this program has no such phase", path.c_str());
    const int64_t classes = metadata.columns[*metadata.pseudo_label].classes;
    for (const MixPart &part : metadata.phases[size_t(labels.phase)].mix) {
        if (!part.pseudo) continue;
        PseudoLabels set{part.split, {}, {}, {}, {}};
        auto own = std::find_if(tensors.begin(), tensors.end(), [&](const TensorView &t) { return t.name == part.split + ".class"; });
        if (own == tensors.end() || own->shape.size() != 1 || own->shape[0] < 1)
            fail(ExitCode::checkpoint, "%s is of another model: it has no pseudo-labels of split %s", path.c_str(), part.split.c_str());
        const int64_t records = own->shape[0];
        auto copy = [&](auto &values, const std::string &name, DType dtype, const std::vector<int64_t> &shape) {
            const uint8_t *data = need(part.split + name, dtype, shape);
            values.resize(size_t(element_count(shape)));
            std::memcpy(values.data(), data, values.size() * sizeof values[0]);
        };
        copy(set.classes, ".class", DType::i32, {records});
        copy(set.confidence, ".confidence", DType::f32, {records});
        if (part.soft) copy(set.targets, ".target", DType::f32, {records, classes});
        for (int32_t label : set.classes)
            if (label < 0 || label >= classes) fail(ExitCode::checkpoint, "%s: a pseudo-label of split %s is %d, and there are %lld classes", path.c_str(), part.split.c_str(), label, (long long)classes);
        if (const uint8_t *agreement = find(part.split + ".agreement", DType::f64, {1})) std::memcpy(&set.agreement.emplace(), agreement, sizeof(double));
        labels.sets.push_back(std::move(set));
    }
    return labels;
}

FileRecord write_text(const std::string &path, const std::string &text) {
    FileDescriptor file = create_file(path);
    write_all(file, path, text.data(), text.size());
    flush_to_disk(file, path);
    return {int64_t(text.size()), hash_text(xxh64(text.data(), text.size()))};
}

std::string read_checked(const std::string &folder, const char *name, const Manifest &manifest) {
    std::string path = folder + "/" + name;
    auto record = manifest.files.find(name);
    if (record == manifest.files.end()) fail(ExitCode::checkpoint, "%s/%s does not list %s", folder.c_str(), kManifest, name);
    std::string content = read_file(path, ExitCode::checkpoint);
    if (int64_t(content.size()) != record->second.bytes)
        fail(ExitCode::checkpoint, "%s has %zu bytes instead of %lld: it is truncated or not this checkpoint's", path.c_str(),
             content.size(), (long long)record->second.bytes);
    if (hash_text(xxh64(content.data(), content.size())) != record->second.hash)
        fail(ExitCode::checkpoint, "%s is corrupted: its checksum does not match the manifest's", path.c_str());
    return content;
}

// Pairs every storage of a kind with its tensor in the file.
std::vector<std::pair<const Storage *, const uint8_t *>> match(const std::string &content, const std::string &path,
                                                               const Metadata &metadata, bool of_optimizer) {
    std::vector<TensorView> tensors = parse_safetensors(content, path);
    std::vector<std::pair<const Storage *, const uint8_t *>> out;
    for (const Storage &storage : metadata.storages) {
        if ((storage.kind == StorageKind::state) != of_optimizer) continue;
        auto found = std::find_if(tensors.begin(), tensors.end(), [&](const TensorView &t) { return t.name == storage.path; });
        if (found == tensors.end())
            fail(ExitCode::checkpoint, "%s is of another model: it has no tensor %s", path.c_str(), storage.path.c_str());
        if (found->dtype != storage.dtype || found->shape != storage.shape)
            fail(ExitCode::checkpoint, "%s is of another model: %s is %s there and %s in this program", path.c_str(),
                 storage.path.c_str(), type_text(found->dtype, found->shape).c_str(),
                 type_text(storage.dtype, storage.shape).c_str());
        out.emplace_back(&storage, found->data);
        tensors.erase(found);
    }
    if (!tensors.empty())
        fail(ExitCode::checkpoint, "%s is of another model: this program has no tensor %s", path.c_str(),
             tensors.front().name.c_str());
    return out;
}

}  // namespace

void save_checkpoint(const std::string &run, const std::string &name, ProgramState &state, Manifest manifest) {
    std::string target = run + "/" + name, fresh = fresh_name(run, name), aside = aside_name(run, name);
    for (size_t i = 0; i < state.metadata.scalars.size(); ++i) manifest.scalars[state.metadata.scalars[i]] = state.scalars()[i];
    try {
        remove_all(fresh);
        if (::mkdir(fresh.c_str(), 0777) != 0)
            fail(ExitCode::disk, "cannot create the folder %s: %s", fresh.c_str(), std::strerror(errno));
        manifest.files[kWeights] = write_storages(fresh + "/" + kWeights, state, false);
        manifest.files[kState] = write_storages(fresh + "/" + kState, state, true);
        if (state.pseudo_labels.phase >= 0) manifest.files[kPseudoLabels] = write_pseudo_labels(fresh + "/" + kPseudoLabels, state.pseudo_labels, state.metadata.model);
        else manifest.files.erase(kPseudoLabels);
        if (!state.vocabularies.empty()) manifest.files[kVocabulariesFile] = write_text(fresh + "/" + kVocabulariesFile, print(state.vocabularies));
        write_text(fresh + "/" + kManifest, print(manifest));
        flush_folder(fresh);
        if (!exists(target)) {
            rename_file(fresh, target);
        } else if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
            remove_all(aside);
            rename_file(target, aside);
            rename_file(fresh, target);
        }
        flush_folder(run);
    } catch (Failure &failure) {
        std::string kept = exists(target) ? "; the checkpoint saved before is intact in " + target : "";
        try {
            remove_all(fresh);  // gives the space back
        } catch (const Failure &) {
        }
        throw Failure(failure.code, failure.what() + kept);
    }
    remove_all(fresh);
    remove_all(aside);
}

void recover(const std::string &run) {
    for (const char *name : {"last", "best"}) {
        std::string target = run + "/" + name, aside = aside_name(run, name);
        if (!exists(target) && exists(aside)) rename_file(aside, target);
        remove_all(fresh_name(run, name));
        remove_all(aside);
    }
}

bool has_checkpoint(const std::string &run, const std::string &name) {
    return exists(run + "/" + name) || exists(aside_name(run, name));
}

void refuse_within_checkpoint(const std::string &run) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    for (fs::path folder = fs::weakly_canonical(fs::absolute(run), ignored); folder.has_relative_path(); folder = folder.parent_path()) {
        const bool checkpoint = std::ranges::all_of(std::array{kWeights, kState, kManifest}, [&](const char *file) { return exists(folder / file); });
        if (checkpoint)
            fail(ExitCode::checkpoint, "--run %s is in the checkpoint %s, which its run replaces as a whole when it saves: name another --run", run.c_str(), folder.c_str());
    }
}

Manifest read_manifest(const std::string &run, const std::string &name, const Metadata &metadata) {
    const std::string folder = folder_of(run, name);
    if (!exists(folder))
        fail(ExitCode::checkpoint, "there is no checkpoint %s; `train --run %s` makes one", folder.c_str(), run.c_str());
    std::string path = folder + "/" + kManifest;
    Manifest manifest = parse_manifest(read_file(path, ExitCode::checkpoint), path);
    if (manifest.model != metadata.model)
        fail(ExitCode::checkpoint, "%s is a checkpoint of model %s; this program is model %s", folder.c_str(),
             manifest.model.c_str(), metadata.model.c_str());
    return manifest;
}

Manifest load_checkpoint(const std::string &run, const std::string &name, ProgramState &state, bool training) {
    Manifest manifest = read_manifest(run, name, state.metadata);
    const std::string folder = folder_of(run, name);
    Vocabularies vocabularies;
    if (manifest.files.contains(kVocabulariesFile)) vocabularies = parse_vocabularies(read_checked(folder, kVocabulariesFile, manifest), folder + "/" + kVocabulariesFile);
    check_vocabularies(vocabularies, state.metadata, folder);
    std::string weights = read_checked(folder, kWeights, manifest);
    auto pairs = match(weights, folder + "/" + kWeights, state.metadata, false);
    std::string optimizer;
    PseudoLabelSets pseudo_labels;
    if (training) {
        if (manifest.files.contains(kPseudoLabels)) pseudo_labels = parse_pseudo_labels(read_checked(folder, kPseudoLabels, manifest), folder + "/" + kPseudoLabels, state.metadata);
        optimizer = read_checked(folder, kState, manifest);
        auto more = match(optimizer, folder + "/" + kState, state.metadata, true);
        pairs.insert(pairs.end(), more.begin(), more.end());
        if (manifest.fingerprint != state.metadata.fingerprint())
            fail(ExitCode::checkpoint,
                 "%s is a checkpoint of another version of model %s: the tensors agree, but the scalars of its schedule or "
                 "optimizer do not",
                 folder.c_str(), manifest.model.c_str());
        for (const std::string &mean : state.metadata.means)
            if (!manifest.sums.contains(mean))
                fail(ExitCode::checkpoint, "%s/%s lacks the sum of %s", folder.c_str(), kManifest, mean.c_str());
    }
    state.vocabularies = std::move(vocabularies);
    if (training) state.pseudo_labels = std::move(pseudo_labels);
    for (auto [storage, data] : pairs) std::memcpy(state.storage(*storage), data, size_t(storage->bytes()));
    for (const auto &[scalar, value] : manifest.scalars) state.set(scalar, value);
    if (training)
        for (size_t i = 0; i < state.metadata.means.size(); ++i) state.sums()[i] = manifest.sums.at(state.metadata.means[i]);
    return manifest;
}

Manifest load_weights(ProgramState &state, const std::string &run, const std::string &name) {
    if (!state.metadata.phases.empty()) return load_checkpoint(run, name, state, false);
    if (state.program.init) state.program.init(state.context());
    return {};
}

}  // namespace kiln::runtime
