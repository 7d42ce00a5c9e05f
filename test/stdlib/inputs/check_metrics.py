"""Metrics over a whole split, by their definitions, of a table of 250 rows, which do not fill the last batch.

usage: check_metrics.py FOLDER          writes FOLDER/table.csv
       check_metrics.py FOLDER JSON     compares what `eval --json` has printed
"""
import json
import os
import random
import struct
import sys

POSITIVE = 2


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def rows():
    numbers = random.Random(5)
    for _ in range(250):
        label = numbers.randrange(3)
        scores = [single(numbers.gauss(0.8 * (k == label), 1)) for k in range(3)]
        truth = [single(numbers.gauss(1000, 1)) for _ in range(2)]
        yield scores, label, [single(t + numbers.gauss(0, 0.5)) for t in truth], truth


def r2(pairs):
    mean = sum(t for _, t in pairs) / len(pairs)
    return 1 - sum((g - t) ** 2 for g, t in pairs) / sum((t - mean) ** 2 for _, t in pairs)


def expected():
    table = list(rows())
    taken = [scores.index(max(scores)) == POSITIVE for scores, *_ in table]
    is_positive = [label == POSITIVE for _, label, *_ in table]
    right = sum(a and b for a, b in zip(taken, is_positive))
    precision, recall = right / sum(taken), right / sum(is_positive)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "nobody": 0,
        "r2": r2([pair for *_, guess, truth in table for pair in zip(guess, truth)]),
        "r2_of_one": r2([(sum(guess), sum(truth)) for *_, guess, truth in table]),
    }


def main():
    if len(sys.argv) == 2:
        with open(os.path.join(sys.argv[1], "table.csv"), "w") as file:
            file.write("score_1,score_2,score_3,label,guess_1,guess_2,truth_1,truth_2\n")
            for scores, label, guess, truth in rows():
                file.write(",".join(repr(x) for x in [*scores, label, *guess, *truth]) + "\n")
        return
    found = json.loads(open(sys.argv[2]).read().splitlines()[-1])
    for name, value in expected().items():
        # The sum of two numbers near 1000 is rounded to 1e-4.
        close = abs(found[name] - value) <= (1e-3 if name == "r2_of_one" else 1e-9)
        print(f"{name}: {'as expected' if close else f'{found[name]} instead of {value}'}")


main()
