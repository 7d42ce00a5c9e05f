# A second suite over the same files: every .graph file of the tests, whatever it tests, also prints and parses back to
# the same graph. Files that are wrong on purpose (those that assert their diagnostics) are left out.
import os
import lit.formats
import lit.Test
import lit.util

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))


class RoundTrip(lit.formats.TestFormat):
    def getTestsInDirectory(self, suite, path_in_suite, lit_config, local_config):
        for folder, _, files in os.walk(os.path.join(root, "test")):
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name.endswith(".graph") and "--verify-diagnostics" not in open(path, errors="replace").read():
                    relative = os.path.relpath(path, os.path.join(root, "test"))
                    yield lit.Test.Test(suite, tuple(relative.split(os.sep)), local_config)

    def execute(self, test, lit_config):
        path = os.path.join(root, "test", *test.path_in_suite)
        command = [os.path.join(build, "bin", "kiln"), "opt", "--verify-roundtrip", path]
        out, err, code = lit.util.executeCommand(command, timeout=lit_config.maxIndividualTestTime)
        if code == 0:
            return lit.Test.PASS, ""
        return lit.Test.FAIL, f"{' '.join(command)}\nexit code {code}\n{out[-2000:]}{err[-2000:]}"


config.name = "roundtrip"
config.test_format = RoundTrip()
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(build, "test", "roundtrip")
