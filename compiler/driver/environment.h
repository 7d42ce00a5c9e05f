// The only reader of the environment.
#pragma once

#include <string>

namespace kiln {

/// $KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else $HOME/.cache/kiln; empty if none is set.
std::string default_cache_folder();
/// Whether stderr is a terminal that wants colour (NO_COLOR and TERM=dumb say no).
bool stderr_wants_colour();
/// The width of the terminal that stdout is; 0 if it is none.
int stdout_columns();
int processor_count();

}  // namespace kiln
