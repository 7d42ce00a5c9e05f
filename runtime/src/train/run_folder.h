// The run folder: who may write to it, and what a run starts from.
#pragma once

#include "checkpoint/manifest.h"
#include "support/file.h"
#include "train/trainer.h"

namespace kiln::runtime {

/// Creates the folder if need be and locks it against a second training. Refuses a folder that holds a run, unless it is to be
/// resumed or overwritten. The lock lasts as long as the descriptor.
FileDescriptor claim_run_folder(const TrainOptions &options);

/// The manifest a run begins with: from options and metadata, or from `last/`, whose tensors are then loaded into state. What the
/// command line says must agree with the checkpoint, except for epochs of phases not yet past.
Manifest begin_run(ProgramState &state, const TrainOptions &options);

}  // namespace kiln::runtime
