"""Counts the kernels of a training step, by family: fusion that stops happening shows as more of them.

usage: count_kernels.py FILE.model MOST [FAMILY=MOST ..]

MOST: calls of the programs train and update together; FAMILY=MOST: those of one family of kernels among them. Fewer are better and pass. Without
optimization (-O0) the same model must have more, or the count would say nothing.
"""
import re
import subprocess
import sys


def calls(model, *flags):
    plan = subprocess.run(["kiln", "emit", "plan", model, *flags], stdout=subprocess.PIPE, text=True, check=True).stdout
    families = []
    for program in re.split(r"^program ", plan, flags=re.M)[1:]:
        if re.match(r"(train|update):", program):
            families += re.findall(r"^ +\d+  k_(\w+)_[0-9a-f]{16} \(", program, re.M)
    return families


model, most = sys.argv[1], int(sys.argv[2])
found = calls(model)
print(f"{model}: {len(found)} kernels: " + ", ".join(f"{found.count(family)} {family}" for family in sorted(set(found))))
failed = not 0 < len(found) <= most
for limit in sys.argv[3:]:
    family, number = limit.split("=")
    failed = failed or found.count(family) > int(number)
if len(calls(model, "-O0")) <= 2 * most:
    print("without fusion there are hardly more")
    failed = True
sys.exit(failed)
