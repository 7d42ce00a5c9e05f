"""Runs every GoogleTest program and the lit suite, and sums the counts: the last line is `N passed, N failed`.

usage: run_tests.py --build DIR [NAME]     with a NAME only the tests whose name contains it

Prints failures in full and successes not at all. A program that dies counts as one more failed test.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIT = "/usr/lib/llvm-14/build/utils/lit/lit.py"
UNIT_LIMIT_S = 900
LIT_LIMIT_S = 600


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def run_unit_program(path, name):
    counts = Counts()
    command = [path, "--gtest_color=no"]
    if name and name not in os.path.basename(path):
        command.append(f"--gtest_filter=*{name}*")
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=UNIT_LIMIT_S)
        output, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = (expired.stdout or b"").decode(errors="replace") + f"\nstill running after {UNIT_LIMIT_S} s", 124
    # `[  FAILED  ] Suite.Test (3 ms)` once where it fails; the list at the end repeats the names without a time.
    counts.passed = len(re.findall(r"^\[       OK \] \S+.* \(\d+ ms\)$", output, re.M))
    counts.failed = len(re.findall(r"^\[  FAILED  \] \S+.* \(\d+ ms\)$", output, re.M))
    counts.skipped = len(re.findall(r"^\[  SKIPPED \] \S+.* \(\d+ ms\)$", output, re.M))
    if code != 0 and counts.failed == 0:
        counts.failed = 1
        output += f"\nexit code {code}"
    if counts.failed:
        quiet = re.compile(r"^\[( RUN      |       OK |----------|==========)\]")
        print(f"--- {os.path.basename(path)}")
        print("\n".join(line for line in output.splitlines() if not quiet.match(line)))
    return counts


def run_lit(build, name):
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "lit.json")
        command = [sys.executable, LIT, "-q", "--allow-empty-runs", "-j", str(os.cpu_count()), f"--timeout={LIT_LIMIT_S}",
                   "-D", f"build={build}", "-o", report]
        if name:
            command += ["--filter", re.escape(name)]
        done = subprocess.run(command + [os.path.join(ROOT, "test")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not os.path.exists(report):
            if b"did not match any tests" in done.stdout:
                return counts
            print(done.stdout.decode(errors="replace"))
            print("lit wrote no report")
            counts.failed = 1
            return counts
        tests = json.load(open(report))["tests"]
    for test in tests:
        code = test["code"]
        if code in ("PASS", "XFAIL", "FLAKYPASS"):
            counts.passed += 1
        elif code in ("UNSUPPORTED", "SKIPPED"):
            counts.skipped += 1
        elif code != "EXCLUDED":
            counts.failed += 1
            print(f"--- {test['name']}: {code}\n{test['output']}")
    return counts


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True)
    arguments.add_argument("name", nargs="?", help="part of a test's name: a file below test/, Suite.Test, unit_ops")
    options = arguments.parse_args()
    build = os.path.abspath(options.build)
    name = options.name
    if name and name.startswith("test/"):
        name = name[len("test/"):]
    if not name:
        shutil.rmtree(os.path.join(build, "test"), ignore_errors=True)
    os.makedirs(os.path.join(build, "test", "home"), exist_ok=True)

    total = Counts()
    sources = os.path.join(ROOT, "test", "unit")
    for folder in sorted(os.listdir(sources)) if os.path.isdir(sources) else []:
        program = os.path.join(build, "bin", f"unit_{folder}")
        if os.path.exists(program):
            total.add(run_unit_program(program, name))
    total.add(run_lit(build, name))

    if total.passed + total.failed + total.skipped == 0:
        print(f"no test's name contains {name!r}" if name else "no tests were found")
        total.failed = 1
    print(f"{total.passed} passed, {total.failed} failed" + (f", {total.skipped} skipped" if total.skipped else ""))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
