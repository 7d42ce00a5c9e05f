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

/// The checkpoint that holds the latest state of a run: `last`; or `best`, where a kill left the folder between the two. They are saved in this
/// order and are the same after an epoch that is the best so far. "" if there is none, as after a kill before the first one.
std::string latest_checkpoint(const std::string &run, const Metadata &metadata);

/// Throws Failure (checkpoint) unless `best/` holds what the run of `manifest` knows as its best state: anything else is not to be restored.
void check_best(const std::string &run, const Manifest &manifest, const Metadata &metadata);

/// The manifest a run begins with: that of the checkpoint `from`, whose tensors are then loaded into state, or if this is "" one from options
/// and metadata. What the command line says must agree with the checkpoint, except for epochs of phases not yet past.
Manifest begin_run(ProgramState &state, const TrainOptions &options, const std::string &from);

/// Takes the weights of --init, and says how many if --init-only leaves some aside. The data have been opened: their vocabularies say which row is whose.
void begin_with_weights(ProgramState &state, const TrainOptions &options);

}  // namespace kiln::runtime
