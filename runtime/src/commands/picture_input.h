// The input of a model that a picture fits, and the values it gets from a file: as training saw them.
#pragma once

#include "image/fit.h"
#include "image/image.h"
#include "program/metadata.h"

#include <string>
#include <vector>

namespace kiln::runtime {

struct PictureInput {
    size_t column = 0;  ///< index in metadata.columns
    Frame frame;
};

/// The first input that a picture fits. Throws Failure (usage) if there is none.
PictureInput picture_input(const Metadata &metadata);

/// The elements of the input for a picture file, or for record `index` of an IDX file; with `invert` black and white are exchanged.
/// Throws Failure (data).
std::vector<float> picture_values(const std::string &path, int64_t index, bool invert, const Column &column, const Frame &frame);

/// The picture that the values are.
Image shown(const std::vector<float> &values, const Frame &frame);

}  // namespace kiln::runtime
