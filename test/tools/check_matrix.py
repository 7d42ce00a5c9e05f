"""Compares a model of examples/matrix with its sheet of the course.

usage: check_matrix.py EXECUTABLE TABLES dotprod|bias FOLDER
FOLDER is what read_sheet.py wrote. From the saved start: every prediction and the RMSE, relative 1e-12; then gradient descent, RMSE by epoch, 2e-8 (the
reference has 8 digits).
"""
import csv
import json
import math
import subprocess
import sys

executable, tables, sheet, folder = sys.argv[1:]
# The course's data: full-batch gradient descent, f64, rate 0.5, from the saved start.
REFERENCE = {
    "dotprod": {1: 2.31999038, 2: 1.81111292, 5: 0.92703886, 20: 0.78630298},
    "bias": {1: 1.53628854, 2: 1.20753088, 5: 0.87205962, 20: 0.78734649},
}
failures, worst = 0, 0.0


def run(*arguments):
    return subprocess.run([executable, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def train(epochs):
    run("train", "--data", folder, "--run", f"{folder}/run", "--init", f"{folder}/start.safetensors", "--epochs", str(epochs), "--overwrite", "--quiet")


def rmse():
    return json.loads(run("eval", "--data", folder, "--run", f"{folder}/run", "--split", "train", "--json").splitlines()[-1])["rmse"]


def compare(what, found, expected, tolerance):
    global failures, worst
    error = abs(found - expected) / max(abs(expected), 1e-300) if found != expected else 0.0
    worst = max(worst, error if tolerance < 1e-10 else 0)
    if not error <= tolerance:
        failures += 1
        print(f"{sheet}: {what} is {found!r} instead of {expected!r}: relative {error:.1e}")


train(0)
(cell,) = next(csv.reader(open(f"{tables}/{sheet}_rmse.csv")))
compare("the RMSE", rmse(), float(cell) / (math.sqrt(206) if sheet == "bias" else 1), 1e-12)
run("predict", "--run", f"{folder}/run", "--data", folder, "--split", "cells", "--csv", f"{folder}/predictions.csv")
found = [float(row[1]) for row in list(csv.reader(open(f"{folder}/predictions.csv")))[1:]]
expected = [float(value) for row in csv.reader(open(f"{tables}/{sheet}_pred_15x15.csv")) for value in row]
if len(found) != 225 or len(expected) != 225:
    failures += 1
    print(f"{sheet}: {len(found)} predictions for {len(expected)} cells")
for number, (one, other) in enumerate(zip(found, expected)):
    compare(f"the prediction of user {number // 15}, movie {number % 15}", one, other, 1e-12)
for epochs, value in REFERENCE[sheet].items():
    train(epochs)
    compare(f"the RMSE after {epochs} epochs", rmse(), value, 2e-8)
print(f"226 numbers of the sheet, worst relative difference {worst:.1e}" if not failures else f"FAILED: {failures} numbers differ")
sys.exit(1 if failures else 0)
