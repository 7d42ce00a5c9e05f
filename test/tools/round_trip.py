"""The test format of test/roundtrip: every .graph file below test/ prints and parses back to the same graph.

A module of its own because lit hands tests to worker processes, and a class can only travel there by the name of its module.
Files that are wrong on purpose (those that assert their diagnostics) are left out.
"""
import os
import lit.formats
import lit.Test
import lit.util


class RoundTrip(lit.formats.TestFormat):
    def __init__(self, tests, kiln):
        self.tests, self.kiln = tests, kiln

    def getTestsInDirectory(self, suite, path_in_suite, lit_config, local_config):
        for folder, _, files in os.walk(self.tests):
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name.endswith(".graph") and "--verify-diagnostics" not in open(path, errors="replace").read():
                    relative = os.path.relpath(path, self.tests)
                    yield lit.Test.Test(suite, tuple(relative.split(os.sep)), local_config)

    def execute(self, test, lit_config):
        path = os.path.join(self.tests, *test.path_in_suite)
        command = [self.kiln, "opt", "--verify-roundtrip", path]
        out, err, code = lit.util.executeCommand(command, timeout=lit_config.maxIndividualTestTime)
        if code == 0:
            return lit.Test.PASS, ""
        return lit.Test.FAIL, f"{' '.join(command)}\nexit code {code}\n{out[-2000:]}{err[-2000:]}"
