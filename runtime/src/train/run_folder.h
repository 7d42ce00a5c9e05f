// The run folder: who may write to it, and what a run starts from.
#pragma once

#include "checkpoint/manifest.h"
#include "support/file.h"
#include "support/replacement.h"
#include "train/trainer.h"

namespace kiln::runtime {

/// The right to write to the run folder of a training, which is made if need be and locked against a second one. Refuses a folder that
/// holds a run, unless that is to be resumed or overwritten.
struct RunFolder {
    explicit RunFolder(const TrainOptions &options);
    FileDescriptor lock;
    Replacement earlier;  ///< the run that --overwrite replaces
};

/// The manifest a run begins with: from options and metadata, or from `last/`, whose tensors are then loaded into state. What the
/// command line says must agree with the checkpoint, except for epochs of phases not yet past.
Manifest begin_run(ProgramState &state, const TrainOptions &options);

}  // namespace kiln::runtime
