#include "compiler/driver/session.h"

#include "compiler/driver/files.h"

#include <fmt/format.h>

namespace kiln {

Compilation Session::run(Stage last) {
    auto text = read_file(options_.input, diagnostics_);
    if (!text) return {};
    file_ = &sources_.add(options_.input, std::move(*text));
    return compile(*file_, sources_, {options_.defines}, options_.level, last, diagnostics_);
}

bool Session::finish() const { return print_diagnostics(diagnostics_, options_.colour); }

KernelOptions Session::kernel_options() const { return {options_.target, options_.debug_checks, options_.cache_folder, options_.jobs, options_.direct_convolutions}; }

bool print_diagnostics(const Diagnostics &diagnostics, bool colour) {
    if (!diagnostics.all().empty()) fmt::print(stderr, "{}", render(diagnostics, colour));
    return diagnostics.has_errors();
}

}  // namespace kiln
