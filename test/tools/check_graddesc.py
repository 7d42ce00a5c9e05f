"""Compares a model of examples/graddesc with the spreadsheet, epoch by epoch.

usage: check_graddesc.py EXECUTABLE DATA_FOLDER RUN_FOLDER EPOCHS_CSV SHEET EPOCHS TOLERANCE [STATE..]
Trains one epoch more at a time and reads the checkpoint. STATE names the optimizer's tensors (intercept, slope) in the
order of the table's columns state1, state2, ..; of `rate:NAME`, `used:NAME` and `scalar:NAME` both elements are the same: `rate` is the
column `learn` after the epoch, `used` the one before it, `scalar` the next state column before it. An epoch that leaves the line as it
was is one that the sheet computed again.
"""
import csv
import json
import struct
import subprocess
import sys

executable, data, run, table, sheet, epochs, tolerance, *states = sys.argv[1:]
rows = [row for row in csv.DictReader(open(table)) if row["sheet"] == sheet]


def tensors(name):
    content = open(f"{run}/last/{name}.safetensors", "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    result = {}
    for path, entry in json.loads(content[8:8 + length]).items():
        if path != "__metadata__":
            assert entry["dtype"] == "F64" and entry["shape"] == [2], (path, entry)
            begin, end = entry["data_offsets"]
            result[path] = struct.unpack("<2d", content[8 + length + begin:8 + length + end])
    return result


worst, failures, done, passes = 0.0, 0, 0, 0


def compare(what, found, expected):
    global worst, failures
    error = abs(found - float(expected)) / abs(float(expected))
    worst = max(worst, error)
    if not error <= float(tolerance):
        failures += 1
        print(f"{sheet}, epoch {done}: {what} is {found!r}, the sheet has {expected}: relative {error:.1e}")


line = (1.0, 1.0)
while done < int(epochs) and passes < 3 * int(epochs):
    passes += 1
    resume = ["--resume"] if passes > 1 else []
    subprocess.run([executable, "train", "--data", data, "--run", run, "--epochs", str(passes), "--quiet", *resume], check=True)
    now = tensors("weights")["Line/line"]
    if now == line:
        continue
    line, before = now, rows[done]
    done += 1
    compare("intercept", line[0], rows[done]["b_C1"])
    compare("slope", line[1], rows[done]["a_C2"])
    stored = tensors("state") if states else {}
    column = 1
    for state in states:
        kind, _, name = state.rpartition(":")
        found = [value for path, value in stored.items() if path.endswith("/" + name) or path.endswith("." + name) or path.endswith(":" + name)]
        assert len(found) == 1, f"state {name} among {list(stored)}"
        if kind == "rate":
            compare("rate", found[0][0], rows[done]["learn"])
        elif kind == "used":
            compare("rate", found[0][0], before["learn"])
        elif kind == "scalar":
            compare(name, found[0][0], before[f"state{column}"])
            column += 1
        else:
            for value in found[0]:
                compare(name, value, rows[done][f"state{column}"])
                column += 1
print(f"{sheet}: {done} epochs agree within {worst:.1e}" if not failures and done == int(epochs) else f"{sheet}: FAILED, {done} epochs")
sys.exit(0 if not failures and done == int(epochs) else 1)
