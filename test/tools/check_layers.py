"""Checks the #include lines of the project: each folder below compiler/ includes only its own headers and those of lower
rungs, third parties stay in their folder, compiler and runtime know of each other only through runtime/include, and the
environment is read by the driver alone.

usage: check_layers.py ROOT
"""
import os
import re
import sys

RUNGS = {"support": 0, "syntax": 1, "ir": 1, "ops": 2, "elaborate": 3, "autodiff": 3, "passes": 3, "plan": 4, "kernels": 5,
         "codegen": 5, "driver": 6}
# First component of an include path (or the whole name) -> the only folders that may have it.
THIRD_PARTIES = {
    "antlr4-runtime": {"compiler/syntax"}, "KilnLexer.h": {"compiler/syntax"}, "KilnParser.h": {"compiler/syntax"},
    "Halide.h": {"compiler/kernels"}, "halide14": {"compiler/kernels"}, "HalideRuntime.h": {"compiler/kernels"},
    "llvm": {"compiler/codegen"}, "llvm-c": {"compiler/codegen"},
    "CLI": {"compiler/driver", "runtime/src", "examples"},
    "nlohmann": {"compiler/codegen", "compiler/driver", "runtime/src"},
    "png.h": {"runtime/src", "examples"}, "jpeglib.h": {"runtime/src", "examples"}, "zlib.h": {"runtime/src", "examples"},
    "archive.h": {"runtime/src"}, "archive_entry.h": {"runtime/src"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def problems_of(root, path):
    """One message for each forbidden include of the file (path is relative to the root)."""
    parts = path.split(os.sep)
    own = parts[1] if parts[0] == "compiler" and len(parts) > 2 else None
    if own is not None and own not in RUNGS:
        yield f"{path}: folder compiler/{own} has no rung"
        return
    for number, line in enumerate(open(os.path.join(root, path), errors="replace"), 1):
        match = INCLUDE.match(line)
        if not match:
            if "getenv" in line and own is not None and own != "driver":
                yield f"{path}:{number}: reads the environment, which only compiler/driver may"
            continue
        bracket, target = match.groups()
        where = f"{path}:{number}: includes {target}"
        first = target.split("/")[0]
        allowed = THIRD_PARTIES.get(first)
        if allowed is not None and not any(path.startswith(folder + "/") for folder in allowed):
            yield f"{where}, which only {', '.join(sorted(allowed))} may"
        if parts[0] == "compiler" and first == "runtime" or first == "compiler" and parts[0] == "runtime":
            yield f"{where}: compiler and runtime meet only in runtime/include"
        if parts[0] == "compiler" and first == "kiln" and target != "kiln/names.h" and own != "codegen":
            yield f"{where}: only compiler/codegen knows the executable's interface"
        if own is None or first != "compiler":
            continue
        other = target.split("/")[1]
        if other != own and RUNGS.get(other, 99) >= RUNGS[own]:
            yield f"{where}: compiler/{own} [{RUNGS[own]}] may include only lower rungs, not compiler/{other} [{RUNGS.get(other, '?')}]"
        elif bracket == '"' and not os.path.exists(os.path.join(root, target)):
            yield f"{where}, which does not exist"


def main():
    root = sys.argv[1]
    found, files = [], 0
    for top in ("compiler", "runtime", "examples"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".h", ".cpp", ".def")):
                    files += 1
                    found += problems_of(root, os.path.relpath(os.path.join(folder, name), root))
    print("\n".join(found + [f"{files} files, {len(found)} violations"]))
    return 1 if found or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
