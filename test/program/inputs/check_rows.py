"""Checks that the row of a value in a table of one run is near that of the same value in another run's, whatever their numbers.

usage: check_rows.py RUN OTHER_RUN TABLE INPUT VALUE TOLERANCE
"""
import json
import struct
import sys

run, other, table, name, value, tolerance = sys.argv[1:]


def row_of(folder):
    content = open(f"{folder}/last/weights.safetensors", "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    entry = json.loads(content[8:8 + length])[table]
    begin, end = entry["data_offsets"]
    numbers = struct.unpack(f"<{(end - begin) // 4}f", content[8 + length + begin:8 + length + end])
    vocabulary = json.load(open(f"{folder}/last/vocabularies.json"))["inputs"][name]
    row = len(vocabulary["values"]) if value == vocabulary.get("unknown") else vocabulary["values"].index(value)
    width = entry["shape"][1]
    return row, numbers[row * width:(row + 1) * width]


(first, a), (second, b) = row_of(run), row_of(other)
assert first != second, f"{value} is row {first} in both"
assert max(abs(x - y) for x, y in zip(a, b)) < float(tolerance), (a, b)
