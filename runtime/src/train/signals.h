// Ctrl-C, SIGTERM and SIGHUP during training: the running step is finished, the state saved, and the process exits with 128 +
// the signal's number. A second signal ends the process at once.
#pragma once

namespace kiln::runtime {

/// Installs the handlers for those of them that the process was not told to ignore (by nohup, or as a background job), and ignores SIGPIPE (a closed pipe is reported at the end, the run goes on) and SIGXFSZ (a file-size
/// limit is a failed write like any other).
void catch_stop_signals();

/// The signal that arrived, 0 if none did.
int stop_signal();

/// Puts back what was there before and forgets a signal.
void release_stop_signals();

}  // namespace kiln::runtime
