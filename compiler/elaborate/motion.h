// Where the pixels of an augmented picture come from: followed back through what an augmentation computes, to the model's inputs.
//
// Of a picture [n, h, w, ..] a pixel is at (y, x). Operations element by element, over channels or in windows around a pixel leave it
// there; `warp` and `reverse` move it; a `select` that is the same for a whole sample shows it at one of two places. Statistics of a picture, such as
// its mean, have no place. Anything else (a transpose, two samples mixed) is not followed.
#pragma once

#include "compiler/ops/builder.h"

#include <optional>

namespace kiln {

/// What became of the places of pixels.
enum class Movement { still, moved, unknown };
Movement movement_of(const Graph &graph, NodeId picture);

/// For each pixel of a picture the row and the column of the input that it shows, [n, h, w] each, moved inside as the picture's fill does; and whether
/// the nearest pixel was inside without that.
struct PlacesShown { NodeId y, x, inside; };
/// Nothing where the movement is unknown.
std::optional<PlacesShown> places_shown(Builder &builder, NodeId picture);

}  // namespace kiln
