#include "data/picture_set.h"

#include "data/picture_cache.h"
#include "image/image.h"
#include "program/state.h"
#include "support/failure.h"
#include "support/hash.h"
#include "support/parallel.h"
#include "support/text.h"
#include "threads/team.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <set>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5;  // bad files that a message names one by one

/// Which inputs a picture and its class go to.
struct Targets {
    size_t picture = 0;
    Frame frame;
    std::optional<size_t> label;
};

Targets targets_of(const ReaderRequest &request) {
    std::vector<std::string> inputs;
    std::vector<size_t> pictures, labels;
    bool others = false;
    for (size_t i = 0; i < request.columns.size(); ++i) {
        const Column &column = request.columns[i];
        if (!request.wants(i)) continue;
        bool is_label = column.is_one_class(), is_picture = column.classes == 0 && picture_frame(column);
        inputs.push_back(column.name + ": " + type_text(column));
        if (is_label)
            labels.push_back(i);
        else if (is_picture)
            pictures.push_back(i);
        else if (!request.may_lack(i))
            others = true;
    }
    if (labels.size() > 1 && std::all_of(labels.begin(), labels.end(), [&](size_t label) { return request.may_lack(label); })) labels.clear();
    if (pictures.size() != 1 || labels.size() > 1 || others)
        fail(ExitCode::data,
             "split %s: `%s` feeds one picture (such as f32[60, 80, 3]) and one label (class[10]), but the model's inputs are %s",
             request.split.name.c_str(), request.split.reader.c_str(), join(inputs, ", ").c_str());
    Targets targets{pictures[0], *picture_frame(request.columns[pictures[0]]), {}};
    if (!labels.empty()) targets.label = labels[0];
    return targets;
}

/// All that a record is read from.
struct PictureSet {
    PictureSource source;
    Frame frame;
    PictureOptions options;
    std::optional<Memory> kept;
    std::vector<int64_t> places;  ///< in `kept`, by picture; -1: not there
    std::unique_ptr<PictureCache> cache;

    std::string path(size_t picture) const { return source.place + source.pictures[picture].name; }
    void decode(size_t picture, uint8_t *to) const {
        Image image = fit_image(decode_image(source.read(picture), path(picture), &frame), frame);
        std::memcpy(to, image.values.data(), image.values.size());
    }
    void read(size_t picture, DType dtype, uint8_t *to) const {
        if (kept && places[picture] >= 0) return convert_elements(DType::u8, kept->data() + places[picture] * frame.bytes(), dtype, to, frame.bytes());
        std::vector<uint8_t> pixels(size_t(frame.bytes()));
        if (cache)
            cache->read(picture, pixels.data());
        else
            decode(picture, pixels.data());
        convert_elements(DType::u8, pixels.data(), dtype, to, frame.bytes());
    }
};

// What the pixels in a cache depend on besides the files; the number is raised when decoding changes.
std::string settings_of(const Frame &frame) {
    return format("decoder 2, %s to %lldx%lldx%lld", name_of(frame.fit), (long long)frame.height, (long long)frame.width,
                  (long long)frame.channels);
}

// Decodes these pictures once, keeping the pixels if there is a place for them; returns what is wrong with each of all, "" for nothing.
std::vector<std::string> decode(PictureSet &set, const std::vector<size_t> &wanted, const std::string &split) {
    const auto &pictures = set.source.pictures;
    std::vector<std::string> errors(pictures.size());
    auto decode_one = [&](size_t n) {
        const size_t i = wanted[n];
        errors[i] = pictures[i].error;
        if (!errors[i].empty()) return;
        std::vector<uint8_t> pixels(size_t(set.frame.bytes()));
        try {
            set.decode(i, pixels.data());
        } catch (const Failure &failure) {
            if (failure.code != ExitCode::data) throw;
            errors[i] = failure.what();
            return;
        }
        if (set.kept) std::memcpy(set.kept->data() + set.places[i] * set.frame.bytes(), pixels.data(), pixels.size());
        if (set.cache) set.cache->write(i, pixels.data());
    };
    parallel_for(wanted.size(), team_size(), decode_one, 2.0, [&] {
        std::fprintf(stderr, "%s: decoding %s pictures of %s\n", split.c_str(), grouped(int64_t(wanted.size())).c_str(),
                     set.source.title.c_str());
    });
    return errors;
}

std::vector<std::string> fill_cache(PictureSet &set, const std::string &split) {
    std::string settings = settings_of(set.frame), reason;
    const std::string path = behind_links(set.options.cache);
    const auto &pictures = set.source.pictures;
    std::vector<std::string> errors;
    set.cache = PictureCache::open(path, settings, pictures, set.frame.bytes(), errors, reason);
    if (set.cache) return errors;
    if (!reason.empty())
        std::fprintf(stderr, "%s: the cache %s %s; it is made again\n", split.c_str(), path.c_str(), reason.c_str());
    set.cache = std::make_unique<PictureCache>(path, settings, set.frame.bytes(), pictures.size());
    std::vector<size_t> all(pictures.size());
    std::iota(all.begin(), all.end(), size_t(0));
    errors = decode(set, all, split);
    set.cache->finish(pictures, errors);
    return errors;
}

std::vector<std::string> keep(PictureSet &set, const std::vector<size_t> &wanted, const std::string &split) {
    const auto count = int64_t(wanted.size());
    const bool fits = set.frame.bytes() <= set.options.most_kept / std::max<int64_t>(count, 1);
    if (set.options.keep && !fits)
        std::fprintf(stderr,
                     "note: split %s: %s pictures of %lld bytes are more than most_kept, %s MiB: they are decoded again for "
                     "each batch\n",
                     split.c_str(), grouped(count).c_str(), (long long)set.frame.bytes(), short_number(double(set.options.most_kept) / (1 << 20)).c_str());
    if (set.options.keep && fits) {
        set.kept.emplace(size_t(count * set.frame.bytes()));
        set.places.assign(set.source.pictures.size(), -1);
        for (size_t n = 0; n < wanted.size(); ++n) set.places[wanted[n]] = int64_t(n);
    }
    return decode(set, wanted, split);
}

// Names the bad pictures; more than the share that may be is an error.
void leave_out(const PictureSet &set, const std::vector<size_t> &wanted, const std::vector<std::string> &errors) {
    std::vector<std::string> shown;
    size_t total = wanted.size(), bad = 0;
    for (size_t i : wanted)
        if (!errors[i].empty() && ++bad && shown.size() < kShown) shown.push_back(errors[i]);
    if (bad == 0) return;
    const double share = set.options.bad_files;
    std::string list = join(shown, "\n  ") + (bad > shown.size() ? format("\n  and %zu more", bad - shown.size()) : "");
    std::string count = format("%s: %zu of %zu pictures %s bad", set.source.title.c_str(), bad, total, bad == 1 ? "is" : "are");
    if (bad == total || double(bad) > share * double(total))
        fail(ExitCode::data, "%s; bad_files = %s allows %lld:\n  %s", count.c_str(), number_text(share).c_str(),
             (long long)(share * double(total)), list.c_str());
    std::fprintf(stderr, "warning: %s and left out:\n  %s\n", count.c_str(), list.c_str());
}

// The classes as text, which data/vocabulary.h numbers.
TextColumn classes_of(const PictureSet &set, const std::string &input) {
    TextBuilder classes(input);
    for (const Picture &picture : set.source.pictures) classes.add(picture.class_name);
    return classes.finish();
}

void check_training_classes(const PictureSet &set, const std::vector<int64_t> &records, const Column &column) {
    const char *title = set.source.title.c_str();
    std::set<std::string> classes;
    for (int64_t record : records) classes.insert(set.source.pictures[size_t(record)].class_name);
    if (classes.size() == 1)
        fail(ExitCode::data, "%s: all pictures are of one class, %s: there is nothing to tell apart", title, classes.begin()->c_str());
    if (auto found = int64_t(classes.size()); found < column.classes)
        std::fprintf(stderr, "warning: %s has pictures of %lld classes, but `%s` is class[%lld]\n", title, (long long)found,
                     column.name.c_str(), (long long)column.classes);
}

}  // namespace

PictureOptions picture_options(const ReaderRequest &request) {
    PictureOptions options;
    const char *split = request.split.name.c_str(), *reader = request.split.reader.c_str();
    if (const Value *fit = request.argument("fit"); fit && !parse_fit(fit->text, options.fit))
        fail(ExitCode::data, "split %s: %s has no fit `%s`; it has: stretch, crop, letterbox", split, reader, fit->text.c_str());
    if (const Value *share = request.argument("bad_files")) {
        options.bad_files = share->number;
        if (share->kind != Value::Kind::number || !(share->number >= 0 && share->number < 1))
            fail(ExitCode::data, "split %s: `bad_files` of %s is %s; it is a share of the pictures: from 0 to below 1", split,
                 reader, number_text(share->number).c_str());
    }
    if (const Value *keep = request.argument("keep")) options.keep = keep->boolean;
    if (const Value *most = request.argument("most_kept")) {
        if (most->kind != Value::Kind::number || !(most->number >= 0 && most->number <= 1e9))
            fail(ExitCode::data, "split %s: `most_kept` of %s is %s; it is a number of MiB", split, reader,
                 number_text(most->number).c_str());
        options.most_kept = int64_t(most->number * double(1 << 20));
    }
    if (const Value *cache = request.argument("cache")) {
        if (cache->kind != Value::Kind::path && cache->kind != Value::Kind::string)
            fail(ExitCode::data, "split %s: the `cache` of %s is not a path", split, reader);
        options.cache = request.path(*cache);
    }
    return options;
}

bool named_as_picture(const std::string &name) {
    std::string lower;
    for (char c : name) lower += char(std::tolower(uint8_t(c)));
    for (const char *end : {".jpg", ".jpeg", ".png", ".pgm", ".ppm"})
        if (lower.ends_with(end)) return true;
    return false;
}

std::optional<Frame> picture_frame(const Column &column) {
    const auto &s = column.shape;
    if (s.size() == 2) return Frame{s[0], s[1], 1};
    if (s.size() == 3 && (s[2] == 1 || s[2] == 3)) return Frame{s[0], s[1], s[2]};
    if (s.size() == 1) {
        auto side = int64_t(std::lround(std::sqrt(double(s[0]))));
        if (side > 1 && side * side == s[0]) return Frame{side, side, 1};
    }
    return std::nullopt;
}

Dataset open_pictures(const ReaderRequest &request, PictureSource source) {
    Targets targets = targets_of(request);
    auto set = std::make_shared<PictureSet>();
    set->source = std::move(source);
    set->options = picture_options(request);
    set->frame = targets.frame;
    set->frame.fit = set->options.fit;
    if (set->source.pictures.empty()) fail(ExitCode::data, "%s holds no pictures", set->source.title.c_str());

    Dataset dataset;
    dataset.fills.assign(request.columns.size(), false);
    dataset.fills[targets.picture] = true;
    if (targets.label) dataset.fills[*targets.label] = set->source.no_labels.empty() || !request.partial;
    dataset.records = int64_t(set->source.pictures.size());
    dataset.description = set->source.title;
    if (targets.label && set->source.no_labels.empty()) {
        const Column &label = request.columns[*targets.label];
        dataset.texts.push_back(classes_of(*set, label.name));
    } else if (targets.label) {
        dataset.no_labels = set->source.no_labels;
    }
    dataset.name = [set](int64_t record) { return set->source.pictures[size_t(record)].name; };
    dataset.fingerprint = [set](int64_t record) {
        std::string bytes = set->source.read(size_t(record));
        return xxh64(bytes.data(), bytes.size());
    };
    DType dtype = request.columns[targets.picture].dtype;
    // A label that is not there reads as 0; one that is there is text.
    int64_t label_bytes = dataset.no_labels.empty() ? 0 : request.columns[*targets.label].bytes();
    dataset.cost = Cost::decoding;
    std::optional<Column> label;  // to be learned from folders
    if (request.split.name == "train" && !dataset.texts.empty()) label = request.columns[*targets.label];
    dataset.prepare = [set, label, split = request.split.name](const std::vector<int64_t> &records) {
        const std::set<size_t> once(records.begin(), records.end());  // a picture may be several records
        const std::vector<size_t> wanted(once.begin(), once.end());
        const std::vector<std::string> errors = set->options.cache.empty() ? keep(*set, wanted, split) : fill_cache(*set, split);
        leave_out(*set, wanted, errors);
        std::vector<int64_t> good;
        std::copy_if(records.begin(), records.end(), std::back_inserter(good), [&](int64_t record) { return errors[size_t(record)].empty(); });
        if (label) check_training_classes(*set, good, *label);
        return Prepared{std::move(good), set->kept ? Cost::memory : set->cache ? Cost::disk : Cost::decoding};
    };
    dataset.read = [set, targets, dtype, label_bytes](int64_t record, uint8_t *const *rows) {
        set->read(size_t(record), dtype, rows[targets.picture]);
        if (label_bytes > 0) std::memset(rows[*targets.label], 0, size_t(label_bytes));
    };
    return dataset;
}

}  // namespace kiln::runtime
