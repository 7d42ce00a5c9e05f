"""Checks that metrics.csv and metrics.jsonl of a run say the same of its pseudo-labels, of a split `unlabelled`, and that counts add up.

usage: check_pseudo_metrics.py RUN
"""
import csv
import json
import os
import sys

rows = list(csv.DictReader(open(os.path.join(sys.argv[1], "metrics.csv"))))
lines = [json.loads(line) for line in open(os.path.join(sys.argv[1], "metrics.jsonl"))]
assert len(rows) == len(lines)
labelled = agreed = 0
for row, line in zip(rows, lines):
    counts = [row[f"unlabelled_class_{i}"] for i in range(10)]
    if not row["unlabelled_share"]:
        assert "pseudo" not in line and not any(counts), row
        continue
    labelled += 1
    of = line["pseudo"]["unlabelled"]
    assert float(row["unlabelled_share"]) == of["share"] == 0.25
    assert int(row["unlabelled_records"]) == of["records"]
    assert int(row["unlabelled_sure"]) == of["sure"] == sum(map(int, counts)) <= of["records"]
    assert list(map(int, counts)) == of["classes"]
    if of["agreement"] is not None:
        agreed += 1
        assert 0 <= of["agreement"] == float(row["unlabelled_agreement"]) <= 1
    else:
        assert not row["unlabelled_agreement"]
print(f"{len(rows)} epochs, {labelled} with pseudo-labels, {agreed} with agreement, counts add up, jsonl is alike")
