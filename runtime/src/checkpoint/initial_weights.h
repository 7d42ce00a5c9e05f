// Weights that training begins with: those of a safetensors file, of another run or made elsewhere, in place of the model's own.
#pragma once

#include "program/state.h"

#include <string>
#include <vector>

namespace kiln::runtime {

/// Numbers of tensors.
struct InitialWeights {
    size_t taken = 0, in_file = 0, in_program = 0;
};

/// Replaces the initial values of the parameters and buffers that a safetensors file holds; the others stay. Throws Failure (checkpoint) if a
/// tensor of the file is none of the model's, or of another shape; floats of another width are converted. With patterns in `only` that is so for the
/// tensors that one of them matches, the rest of the file is left aside, and paths are compared without the model's name in front: the file may be of
/// another model. A pattern that matches nothing is an error too, (usage) if it is nothing of the program.
/// Rows of a table go by the values of its input, if vocabularies lie beside the file and the data have been opened: a value that the file lacks keeps the
/// row that it has.
InitialWeights load_initial_weights(const std::string &path, ProgramState &state, const std::vector<std::string> &only = {});

}  // namespace kiln::runtime
