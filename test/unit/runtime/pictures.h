// Picture files for tests, made on the spot.
#pragma once

#include "image/image.h"

#include <string>

namespace kiln::runtime::testing {

/// A picture without symmetry whose colours change slowly, so that JPEG keeps them: red grows to the right, green downwards.
Image gradient(int64_t height, int64_t width, int64_t channels = 3);

struct JpegOptions {
    int quality = 95;
    bool progressive = false;
    int orientation = 0;      ///< of an EXIF block, 0 for none
    bool big_endian = false;  ///< of the EXIF block
};
std::string jpeg(const Image &image, const JpegOptions &options = {});
/// A CMYK file that decodes to about the picture; with Adobe's marker, and so with inverted inks, or without.
std::string cmyk_jpeg(const Image &image, bool adobe);

/// A PNG file of any kind: `values` are [height, width, channels], of two bytes each (the high one first) at depth 16, packed
/// rows below depth 8.
struct PngOptions {
    int colour_type = 2, depth = 8;
    bool interlaced = false;
    std::string palette = {};       ///< RGB triples
    std::string transparency = {};  ///< alpha of the palette's entries
    std::string exif = {};
};
std::string png(uint32_t height, uint32_t width, const std::string &values, const PngOptions &options);

/// The largest difference between two pictures of the same shape; 256 if the shapes differ.
int difference(const Image &a, const Image &b);

}  // namespace kiln::runtime::testing
