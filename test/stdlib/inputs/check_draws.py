"""Compares the frequencies of draws with the probabilities that they should have.

usage: check_draws.py FOLDER NAME..     reads FOLDER/NAME.csv, the output NAME of draws.model
"""
import collections
import csv
import math
import sys

P = [0.5, 0.25, 0.2, 0.05]


def normalized(weights):
    total = sum(weights)
    return [w / total for w in weights]


# At temperature t a class has p^(1/t), normalised; top_k keeps the k largest; top_p those that have less than p above them.
root = [math.sqrt(p) for p in P]
EXPECTED = {
    "plain": P,
    "cooler": normalized([p * p for p in P]),
    "coldest": [1, 0, 0, 0],
    "two": normalized([0.5, 0.25, 0, 0]),
    "one": [1, 0, 0, 0],
    "most": normalized([0.5, 0.25, 0.2, 0]),  # 0.75 is above the third, 0.95 above the last
    "all": P,
    "together": normalized([root[0], root[1], 0, 0]),  # of three: 0.43 is above the second, 0.73 above the third
    "certain": [1, 0, 0, 0],
}

for name in sys.argv[2:]:
    rows = list(csv.reader(open(f"{sys.argv[1]}/{name}.csv")))[1:]
    draws = collections.Counter(int(float(entry)) for row in rows for entry in row[1:])
    count = sum(draws.values())
    assert set(draws) <= {0, 1, 2, 3} and count == 100000, (set(draws), count)
    worst = 0
    for k, p in enumerate(EXPECTED[name]):
        deviation = math.sqrt(p * (1 - p) / count)
        difference = abs(draws[k] / count - p)
        worst = max(worst, difference / deviation if deviation else 0 if difference == 0 else math.inf)
    # All four frequencies within 4 standard deviations: by chance 1 of 4000 fails, and the numbers are the same each time.
    print(f"{name}: {'as expected' if worst < 4 else f'{worst:.1f} standard deviations off'}")
    if name == "plain":  # neighbours are independent: pairs of equal ones are as frequent as they should be
        pairs = [(row[i], row[i + 1]) for row in rows for i in range(1, len(row) - 1, 2)]
        same = sum(a == b for a, b in pairs) / len(pairs)
        p = sum(q * q for q in P)
        print("independent" if abs(same - p) < 4 * math.sqrt(p * (1 - p) / len(pairs)) else f"{same} of the neighbours are equal, expected {p}")
        print("records differ" if len({tuple(row[1:]) for row in rows}) == len(rows) else "records are equal")
