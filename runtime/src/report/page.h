// The page of a report: an HTML file that needs nothing else. Its parts are files of this folder and Chart.js (Debian's
// libjs-chart.js), which the build compresses into the runtime.
#pragma once

#include <cstddef>
#include <string>

namespace kiln::runtime {

/// A file compressed by gzip; made by embed.cmake.
struct PagePart {
    const unsigned char *bytes;
    size_t compressed, size;
};
extern const PagePart kPage_PAGE, kPage_SCRIPT, kPage_CHART;

/// The page that shows `json`, which page.js describes by what it reads.
std::string report_page(const std::string &json);

/// "data:image/png;base64,..": a file as an address.
std::string data_address(const std::string &media_type, const std::string &content);

}  // namespace kiln::runtime
