"""check_report_data.py REPORT.html EVAL.json: the numbers of a report of pictures that lists every record agree with each other and with eval."""
import collections
import json
import re
import sys

page = open(sys.argv[1], encoding="utf-8").read()
report = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1))
measured = json.load(open(sys.argv[2]))
assert {m["name"]: m["value"] for m in report["metrics"]} == measured, (report["metrics"], measured)

assert "Chart.js v" in page and report["split"] == "validation" and report["epoch"] == 3
print("phases", json.dumps(report["curves"]["phases"]))
print("settings", json.dumps(report["settings"]))
print("splits", json.dumps(report["splits"]))

wrong, highest = report["worst"]
records = highest["records"]
assert len(records) == report["records"] == len({r["name"] for r in records})
losses = [r["loss"] for r in records]
assert losses == sorted(losses, reverse=True)
assert abs(sum(losses) / len(losses) - measured["loss"]) < 1e-6
right = [r for r in records if r["truth"] == r["prediction"]]
assert abs(len(right) / len(records) - measured["accuracy"]) < 1e-9
assert len(wrong["records"]) == len(records) - len(right)
confidences = [r["confidence"] for r in wrong["records"]]
assert confidences == sorted(confidences, reverse=True)

names = report["classes"]["names"]
pairs = collections.Counter((r["truth"], r["prediction"]) for r in records)
assert {(names[t], names[p]): n for t, p, n in report["classes"]["pairs"]} == dict(pairs)
for row in report["classes"]["table"]:
    name = row["name"]
    count, taken = (sum(n for pair, n in pairs.items() if pair[side] == name) for side in (0, 1))
    hits = pairs[(name, name)]
    assert row["count"] == count
    assert row["precision"] == (hits / taken if taken else None)
    assert row["recall"] == (hits / count if count else None)
    assert row["f1"] == 2 * hits / (count + taken)
    print(f"class {name}: {count} records")
assert all(r["picture"].startswith("data:image/png;base64,iVBOR") for r in records)
print(len(records), "pictures")
