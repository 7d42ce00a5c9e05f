"""Compares the training of an executable with that of the reference interpreter, value by value.

usage: check_training.py MODEL FOLDER STEPS TOLERANCE [-D NAME=VALUE ..] [--as OTHER.model] [OPTION OF kiln build ..]
The interpreter trains the model itself, or OTHER.model, which says the same in other words: then the two compute the same, too.
The model reads IDX files, here without shuffling. Both train STEPS steps of each phase from the same seed on the same random data; afterwards parameters,
buffers, the optimizer's states and globals must agree: |a - b| <= TOLERANCE * (|b| + the root of the mean square of the tensor).
"""
import json
import math
import os
import struct
import subprocess
import sys

SEED = "11"  # with some others a gradient is nothing but rounding, which Adagrad's first step makes as large as the rate

model, folder, steps, tolerance, *rest = sys.argv[1:]
count = 0
while rest[count : count + 1] == ["-D"]:
    count += 2
definitions, options = rest[:count], rest[count:]
interpreted = model
if options[:1] == ["--as"]:
    interpreted, options = options[1], options[2:]
os.makedirs(folder, exist_ok=True)
graph, grad, executable, run = f"{folder}/module.graph", f"{folder}/grad.graph", f"{folder}/x", f"{folder}/run"

def write_graph(source):
    text = subprocess.run(["kiln", "emit", "graph", source, *definitions], check=True, stdout=subprocess.PIPE, text=True).stdout
    open(graph, "w").write(text.replace("  shuffle true\n", "  shuffle false\n", 1))
    return text


text = write_graph(interpreted)
subprocess.run(["kiln", "emit", "grad", graph, "-o", grad], check=True)
lines = subprocess.run(["interpret-training", grad, folder, steps, SEED], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
expected = {path: [float(value) for value in values] for path, *values in map(str.split, lines)}

if interpreted != model:
    write_graph(model)
subprocess.run(["kiln", "build", *options, graph, "-o", executable], check=True)
subprocess.run([executable, "train", "--data", folder, "--run", run, "--seed", SEED, "--epochs", ",".join("1" * max(text.count("\n  phase "), 1)), "--quiet", "--overwrite"], check=True)

found = {}
for name in os.listdir(f"{run}/last"):
    if name.endswith(".safetensors"):
        content = open(f"{run}/last/{name}", "rb").read()
        (length,) = struct.unpack("<Q", content[:8])
        for path, entry in json.loads(content[8:8 + length]).items():
            if path != "__metadata__":
                begin, end = entry["data_offsets"]
                letter = {"F32": "f", "F64": "d"}[entry["dtype"]]
                data = content[8 + length + begin:8 + length + end]
                found[path] = struct.unpack(f"<{len(data) // struct.calcsize(letter)}{letter}", data)

worst, failures = 0.0, 0
manifest = json.load(open(f"{run}/last/manifest.json"))
found.update({f"global:{name}": (float(value),) for name, value in manifest["scalars"].items()})  # infinities are strings
for path, values in expected.items():
    if path not in found or len(found[path]) != len(values):
        print(f"{path}: {len(values)} values expected, found {len(found.get(path, []))}")
        failures += 1
        continue
    scale = math.sqrt(sum(value * value for value in values) / len(values))
    errors = [abs(a - b) / (abs(b) + scale) if a != b else 0.0 for a, b in zip(found[path], values)]
    error = max(errors, key=lambda e: math.inf if math.isnan(e) else e)
    worst = max(worst, error)
    if not error <= float(tolerance):
        at = errors.index(error)
        print(f"{path}[{at}] is {found[path][at]!r}, the interpreter has {values[at]!r}: relative {error:.1e}")
        failures += 1
print(f"{len(expected)} tensors and globals, worst relative difference {worst:.1e}" if not failures else f"FAILED: {failures} tensors differ")
sys.exit(1 if failures else 0)
