// What the commands on .model files share: reading the file, running the pipeline, printing what is wrong.
#pragma once

#include "compiler/driver/commands.h"
#include "compiler/driver/compile.h"
#include "compiler/kernels/emit_kernels.h"

namespace kiln {

class Session {
public:
    explicit Session(const CompileOptions &options) : options_(options) {}

    /// The pipeline up to `last`; empty if the file cannot be read.
    Compilation run(Stage last);
    /// Prints the diagnostics to stderr; true if there are errors.
    bool finish() const;
    /// Throws UsageError if writing a file of this name would replace one that was read, an imported one, too.
    void keep_sources(const std::string &output) const;

    KernelOptions kernel_options() const;
    const Diagnostics &diagnostics() const { return diagnostics_; }
    const SourceFile *file() const { return file_; }

private:
    const CompileOptions &options_;
    SourceMap sources_;
    Diagnostics diagnostics_;
    const SourceFile *file_ = nullptr;
};

/// Prints diagnostics to stderr; true if there are errors.
bool print_diagnostics(const Diagnostics &diagnostics, bool colour);

}  // namespace kiln
