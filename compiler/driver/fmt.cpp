#include "compiler/driver/commands.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/session.h"
#include "compiler/support/read_file.h"
#include "compiler/syntax/parse.h"
#include "compiler/syntax/print.h"

#include <fmt/format.h>

namespace kiln {

int format(const FormatOptions &options) {
    int code = kExitOk;
    for (const std::string &path : options.files) {
        SourceMap sources;
        Diagnostics diagnostics;
        std::string formatted;
        const SourceFile *file = read_source(path, sources, diagnostics);
        if (file) {
            ast::Module tree = parse(*file, diagnostics);
            if (!diagnostics.has_errors()) formatted = format(tree);
        }
        // A file with errors stays as it is; the others are still formatted.
        if (print_diagnostics(diagnostics, options.colour)) { code = kExitProgram; continue; }
        if (formatted == file->text) continue;
        if (!options.check) { write_file(path, formatted); continue; }
        write_stdout(fmt::format("{}\n", path));
        code = kExitProgram;
    }
    return code;
}

}  // namespace kiln
