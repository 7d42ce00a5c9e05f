// The layers of a model as people know them: for `kiln check`, and for `summary` of the executable.
#pragma once

#include "compiler/ir/module.h"

#include <string>
#include <vector>

namespace kiln {

struct LayerRow {
    std::string path;         ///< "Digits/conv_1"
    Type output;              ///< of the layer's last node
    int64_t parameters = 0;   ///< elements of its own parameters, not of layers inside it
};

/// One row for each layer of the inference form, losses and metrics included, and for each with parameters that only training has, in order of execution;
/// empty without a model.
std::vector<LayerRow> layer_table(const Module &module);

/// Elements of all parameters.
int64_t parameter_count(const Module &module);

}  // namespace kiln
