# A second suite over the same files: every .graph file of the tests, whatever it tests, also prints and parses back to
# the same graph.
import os
import sys

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
sys.path.insert(0, os.path.join(root, "test", "tools"))
from round_trip import RoundTrip

config.name = "roundtrip"
config.test_format = RoundTrip(os.path.join(root, "test"), os.path.join(build, "bin", "kiln"))
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(build, "test", "roundtrip")
