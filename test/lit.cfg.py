# lit's configuration: what the tests below may use. Run by test/tools/run_tests.py, or by hand:
#   lit test/syntax -v -D build=build
#
# In RUN lines: kiln and draw-digits (build/bin), FileCheck; `not COMMAND` expects a failure that is no crash,
#   `status CODE COMMAND` one exit code, `interrupt SIGNAL FILE COMMAND` sends a signal once FILE has grown;
#   %data   the folder with public data sets (KILN_DATA, by default shared/data beside the project)
#   %root   the project's folder
#   %tools  test/tools
# Features for REQUIRES: one per data set that is present (mnist, ml-100k, statefarm, course); tmpfs, where a test may mount one; chromium and vim,
# where they are installed.
import os
import shutil
import subprocess
import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
data = os.path.abspath(os.environ.get("KILN_DATA", os.path.join(root, "..", "shared", "data")))
tools = os.path.join(root, "test", "tools")

config.name = "kiln"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".model", ".graph", ".test"]
config.excludes = ["unit", "tools", "inputs", "fuzz"]
config.test_source_root = os.path.join(root, "test")
config.test_exec_root = os.path.join(build, "test", "lit")

config.environment["PATH"] = os.pathsep.join([os.path.join(build, "bin"), tools, os.environ["PATH"]])
# Kernels compiled by one test are reused by the next; run_tests.py empties the folder when it starts a whole run.
config.environment["KILN_CACHE_DIR"] = os.path.join(build, "test", "cache")
config.environment["HOME"] = os.path.join(build, "test", "home")

config.substitutions.append((r"\bFileCheck\b(?!-)", "FileCheck-14"))
config.substitutions.append(("%data", data))
config.substitutions.append(("%root", root))
config.substitutions.append(("%tools", tools))

for feature, path in [("mnist", "mnist/train-images-idx3-ubyte.gz"), ("ml-100k", "ml-100k/u.data"), ("statefarm", "statefarm"),
                      ("course", "course/graddesc_epochs.csv")]:
    if os.path.exists(os.path.join(data, path)):
        config.available_features.add(feature)

if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0:
    config.available_features.add("tmpfs")
# A chroot without /dev/pts has no terminals to give.
if shutil.which("script") and subprocess.run(["script", "-qec", "true", "/dev/null"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
    config.available_features.add("terminal")
for program in "chromium", "vim":
    if shutil.which(program):
        config.available_features.add(program)
