// The order of everything the runtime addresses by index. The metadata lists these vectors and the generated code uses
// positions in them, so that the two cannot disagree.
#pragma once

#include "compiler/plan/plan.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct ProgramLayout {
    std::vector<std::string> scalars;  ///< built-in ones, hypers, globals, then whatever graphs read or write by name
    std::vector<std::string> samples;  ///< "loss", then the metrics: what is reported
    std::vector<std::string> means;    ///< over the samples: `samples`, then further ones that metrics are computed from
    std::vector<std::string> columns;  ///< the columns of the data
    std::vector<std::string> arenas;

    int scalar(std::string_view name) const;  ///< index; KILN_CHECK that it is there
    int sample(std::string_view name) const;  ///< index, or -1
    int mean(std::string_view name) const;    ///< likewise
    int column(std::string_view name) const;
    int arena(std::string_view name) const;
};

ProgramLayout layout_of(const Module &module, const Plan &plan);

}  // namespace kiln
