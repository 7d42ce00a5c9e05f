#include "compiler/driver/session.h"

#include "compiler/driver/failure.h"
#include "compiler/support/read_file.h"

#include <fmt/format.h>

#include <filesystem>

namespace kiln {

Compilation Session::run(Stage last) {
    file_ = read_source(options_.input, sources_, diagnostics_);
    if (!file_) return {};
    return compile(*file_, sources_, {options_.defines}, options_.level, last, diagnostics_);
}

bool Session::finish() const { return print_diagnostics(diagnostics_, options_.colour); }

void Session::keep_sources(const std::string &output) const {
    std::error_code problem;
    if (!std::filesystem::is_regular_file(output, problem)) return;
    const std::optional<FileIdentity> identity = identity_of(output);
    const SourceFile *source = identity ? sources_.find(*identity) : nullptr;
    if (source) throw UsageError(fmt::format("`{}` would replace the source `{}`: say -o and another file", output, source->name));
}

KernelOptions Session::kernel_options() const { return {options_.target, options_.debug_checks, options_.cache_folder, options_.jobs, options_.direct_convolutions}; }

bool print_diagnostics(const Diagnostics &diagnostics, bool colour) {
    if (!diagnostics.all().empty()) fmt::print(stderr, "{}", render(diagnostics, colour));
    return diagnostics.has_errors();
}

}  // namespace kiln
