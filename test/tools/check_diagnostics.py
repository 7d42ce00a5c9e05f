"""Checks that every diagnostic of compiler/support/diagnostics.def is provoked by a test.

usage: check_diagnostics.py ROOT     with `kiln` in PATH

A diagnostic counts as tested if kiln raises it for a test file that asserts its diagnostics (--verify-diagnostics), if a lit test
names its code (E0123), or if a unit test names its enumerator (DiagnosticCode::unknown_name, or bare under `using enum`).
"""
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys

ENTRY = re.compile(r"^DIAGNOSTIC\((\d+), (\w+), (\w+),", re.M)
CODE = re.compile(r"\b[EW](\d{4})\b")


def codes_raised_by(path):
    """The codes kiln prints when it runs the file's RUN lines without the expectations."""
    text = open(path, errors="replace").read()
    raised = set(CODE.findall(text))
    for line in re.findall(r"RUN: *(.*--verify-diagnostics.*)", text):
        command = line.split("|")[0].replace("%s", shlex.quote(path)).replace("--verify-diagnostics", "")
        words = shlex.split(command)
        if words and words[0] in ("not", "status"):
            words = words[words.index("kiln"):]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        raised |= set(CODE.findall(done.stdout.decode(errors="replace")))
    return {int(code) for code in raised}


def main():
    root = sys.argv[1]
    registry = {int(code): name for code, name, _ in ENTRY.findall(open(os.path.join(root, "compiler/support/diagnostics.def")).read())}
    tests, tested = [], set()
    for folder, _, names in os.walk(os.path.join(root, "test")):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".model", ".graph", ".test")):
                tests.append(path)
            elif name.endswith((".cpp", ".h")):
                text = open(path).read()
                named = set(re.findall(r"\w+" if "using enum DiagnosticCode" in text else r"DiagnosticCode::(\w+)", text))
                tested |= {code for code, enumerator in registry.items() if enumerator in named}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for raised in pool.map(codes_raised_by, tests):
            tested |= raised
    missing = sorted(set(registry) - tested)
    for code in missing:
        print(f"no test provokes {code:04} {registry[code]}")
    print(f"{len(registry)} diagnostics, {len(missing)} without a test")
    return 1 if missing or not registry else 0


if __name__ == "__main__":
    sys.exit(main())
