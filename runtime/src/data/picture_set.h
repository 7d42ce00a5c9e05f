// PictureSet: encoded pictures (a folder, an archive) as the records of a split: what the readers `images` and `tar` have in
// common.
//
// Every picture that transforms leave in the split is decoded once when the split is opened, on all processors, so that a bad one is known
// by name before training begins. Decoded pictures, fitted to the model's input, are then kept in memory, or in a cache file, or decoded
// anew for each batch; the values are the same. A cache file holds all pictures of its reader, so that every part can be read from it.
#pragma once

#include "data/dataset.h"
#include "image/fit.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// An encoded picture.
struct Picture {
    std::string name;                 ///< unique in the split: a path below its folder, or in its archive
    std::string class_name;           ///< "" in a split without labels
    int64_t bytes = 0, modified = 0;  ///< of the file that holds it: the modification time in nanoseconds
    std::string error;                ///< why it cannot be read, if the reader has found out already
};

struct PictureSource {
    std::string title;      ///< of the whole in messages: "data/train/", "train.tar"
    std::string place;      ///< before each name in messages: "data/train/", "train.tar: "
    std::string no_labels;  ///< why the pictures have no classes, "" if they have
    std::vector<Picture> pictures;
    std::function<std::string(size_t)> read;  ///< the bytes of a picture; from any thread; throws Failure (data)
};

/// The arguments that the readers of pictures share.
struct PictureOptions {
    Fit fit = Fit::stretch;
    double bad_files = 0;  ///< the share of bad pictures that are left out with a warning; more are an error
    bool keep = true;
    int64_t most_kept = 0;  ///< bytes
    std::string cache;      ///< a file, "" for none
};
PictureOptions picture_options(const ReaderRequest &request);

/// Whether a name ends as those of pictures do: .jpg, .jpeg, .png, .pgm or .ppm, in any case.
bool named_as_picture(const std::string &name);

/// The frame of an input that takes a picture: [h, w], [h, w, 1], [h, w, 3], or a flat one with a square number of elements.
std::optional<Frame> picture_frame(const Column &column);

/// The pictures as records, which Dataset::prepare checks. Throws Failure (data) if the model's inputs are not one picture and at most one
/// label.
Dataset open_pictures(const ReaderRequest &request, PictureSource source);

}  // namespace kiln::runtime
