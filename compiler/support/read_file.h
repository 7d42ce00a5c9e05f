// Reading files. However much a file or a device has to give, no more is read than was asked for.
#pragma once

#include "compiler/support/diagnostics.h"

#include <optional>
#include <string>

namespace kiln {

/// Nothing if there is no such file.
std::optional<FileIdentity> identity_of(const std::string &path);

/// The first `most` bytes of a file, all of a shorter one. Nothing if it cannot be read: errno says why.
std::optional<std::string> read_file(const std::string &path, size_t most);

/// Adds a file to the sources, of one that is too long as much as its parser needs to refuse it. Null if it cannot be read, which
/// is reported at `range`.
const SourceFile *read_source(const std::string &path, SourceMap &sources, Diagnostics &diagnostics, SourceRange range = {});

}  // namespace kiln
