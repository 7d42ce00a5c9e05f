// Checkpoints: the folders last/ and best/ of a run folder, each holding
//   weights.safetensors   parameters and buffers
//   state.safetensors     the optimizer's tensors
//   vocabularies.json     the values of inputs that are text (data/vocabulary.h), if there are any
//   pseudo_labels.safetensors  the labels that training goes on with (data/pseudo_labels.h), if a phase has any
//   manifest.json         everything else (manifest.h), with the sizes and checksums of the others
//
// Saving writes a hidden folder beside the target, flushes it to the disk, and exchanges the two names in one system call, so
// that at any moment, also of a power cut, the target is a complete checkpoint: the earlier one or the new one. Where the file
// system cannot exchange, the earlier folder is first renamed aside; recover() puts it back if that is as far as it came.
#pragma once

#include "checkpoint/manifest.h"
#include "program/state.h"

#include <string>

namespace kiln::runtime {

/// Saves storages and `manifest` (its scalars and files are filled in) as `<run>/<name>`. Throws Failure (disk); what was there
/// before is then untouched.
void save_checkpoint(const std::string &run, const std::string &name, ProgramState &state, Manifest manifest);

/// Finishes or undoes what a killed process left behind in a run folder. Needs the right to write.
void recover(const std::string &run);

bool has_checkpoint(const std::string &run, const std::string &name);

/// Throws Failure (checkpoint) if a folder that is to be written to is a checkpoint or lies in one: it would go with the next save.
void refuse_within_checkpoint(const std::string &run);

/// Only the manifest, with the model it belongs to checked. Throws Failure (checkpoint).
Manifest read_manifest(const std::string &run, const std::string &name, const Metadata &metadata);

/// Reads `<run>/<name>` into state: storages, scalars, vocabularies and, with `training`, also the optimizer's tensors and the sums. Checks
/// everything first: on Failure (checkpoint), which names the tensor and both types, state is as before.
Manifest load_checkpoint(const std::string &run, const std::string &name, ProgramState &state, bool training);

/// The weights to predict with: those of `<run>/<name>`, whose manifest this returns, or the initial ones of a program that has no training.
Manifest load_weights(ProgramState &state, const std::string &run, const std::string &name);

}  // namespace kiln::runtime
