"""Compares the tensors of two safetensors files. usage: compare_weights.py A B TOLERANCE [NAME ..]
Of each tensor, or of those named: |a - b| <= TOLERANCE * (|b| + the root of the mean square of the tensor)."""
import json
import math
import struct
import sys


def read(path):
    content = open(path, "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    tensors = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        letter = {"F32": "f", "F64": "d"}[entry["dtype"]]
        data = content[8 + length + begin:8 + length + end]
        tensors[name] = struct.unpack(f"<{len(data) // struct.calcsize(letter)}{letter}", data)
    return tensors


a, b, tolerance = read(sys.argv[1]), read(sys.argv[2]), float(sys.argv[3])
names = sys.argv[4:] or sorted(b)
worst = 0.0
for name in names:
    scale = math.sqrt(sum(value * value for value in b[name]) / len(b[name]))
    for x, y in zip(a[name], b[name], strict=True):
        error = abs(x - y) / (abs(y) + scale) if x != y else 0.0
        worst = error if math.isnan(error) else max(worst, error)
print(f"{len(names)} tensors, worst relative difference {worst:.1e}")
sys.exit(not worst <= tolerance)
