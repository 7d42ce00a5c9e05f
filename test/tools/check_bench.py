"""Checks the JSON of an executable's `bench`: sorted, complete, and of a training step the work that its summary and the plan speak of.

usage: check_bench.py BENCH.json FILE.model EXECUTABLE
"""
import json
import math
import re
import subprocess
import sys

bench = json.load(open(sys.argv[1]))
kernels = bench["kernels"]
plan = subprocess.run(["kiln", "emit", "plan", sys.argv[2]], stdout=subprocess.PIPE, text=True, check=True).stdout
calls, flops = map(sum, zip(*((int(a), int(b)) for a, b in re.findall(r"^program (?:train|update): (\d+) calls, (\d+) FLOPs", plan, re.M))))
assert len(kernels) == calls, (len(kernels), calls)
assert sum(kernel["flops"] for kernel in kernels) == bench["flops"] == flops, (bench["flops"], flops)
assert [k["ms"] for k in kernels] == sorted((k["ms"] for k in kernels), reverse=True)
assert math.isclose(sum(k["ms"] for k in kernels), bench["kernels_ms"], rel_tol=1e-6)
for kernel in kernels:
    assert kernel["bytes"] > 0 and kernel["ms"] > 0 and re.fullmatch(r".*\.model:\d+:\d+", kernel["at"]), kernel
    assert kernel["bound"] in ("arithmetic", "copy") and kernel["of_peak"] >= 0, kernel
    if kernel["bound"] == "arithmetic":
        assert math.isclose(kernel["of_peak"], kernel["gflops"] / bench["peak_gflops"], rel_tol=1e-3), kernel
# A product of which each element changes a parameter and the two moments of Adam, in 13 operations.
dense, elements = next(k for k in kernels if k["result"] == "f32[784, 512]"), 784 * 512
assert dense["flops"] == (2 * 64 + 13) * elements and dense["bytes"] == 4 * (64 * 784 + 64 * 512 + 6 * elements), dense
assert bench["steps"] == 3 and bench["least_ms"] <= bench["step_ms"] <= bench["most_ms"] and bench["start_to_first_step_ms"] >= bench["first_step_ms"] > 0, bench
