"""Metrics over a whole split, by their definitions, of a table of 250 rows, which do not fill the last batch.

usage: check_metrics.py FOLDER          writes FOLDER/table.csv
       check_metrics.py FOLDER JSON     compares what `eval --json` has printed
"""
import json
import math
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


def iou(pairs):
    """The mean over the classes of (taken for it, of it) that occur."""
    found = []
    for k in {k for pair in pairs for k in pair}:
        found.append(sum(a == b == k for a, b in pairs) / sum(k in pair for pair in pairs))
    return sum(found) / len(found)


def of_each_class(pairs, score):
    classes = sorted({truth for _, truth in pairs})
    counts = [(sum(a == b == k for a, b in pairs), sum(a == k for a, _ in pairs), sum(b == k for _, b in pairs)) for k in classes]
    return sum(score(*c) for c in counts) / len(classes)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def of_one_class(pairs, k):
    """The numbers of (taken for it, of it) pairs: both, first, second."""
    return sum(a == b == k for a, b in pairs), sum(a == k for a, _ in pairs), sum(b == k for _, b in pairs)


def of_columns(table):
    """Three labels for each sample: of s1, s2, s3, s1 - 100, twice them and turned around, beside the next label of four; by a mask of its truths."""
    samples = []
    for scores, label, _, truth in table:
        wide = [*scores, single(scores[0] - 100)]
        columns = [(wide, label), (wide, label), (wide[::-1], (label + 1) % 4)]
        samples.append([(row.index(max(row)), truth_, 1 + sum(x > row[truth_] for x in row), let > 1000) for (row, truth_), let in zip(columns, [*truth, truth[0]])])
    by_sample = [[row for row in rows if row[3]] for rows in samples]
    pairs = [row[:2] for rows in by_sample for row in rows]
    both, taken, of_it = of_one_class(pairs, 2)
    n, classes = len(pairs), [of_one_class(pairs, k) for k in range(4)]
    true_negative = n - taken - of_it + both
    every = of_one_class([row[:2] for rows in samples for row in rows], 2)

    def of_samples(score):
        return mean(mean(map(score, rows)) if rows else 0 for rows in by_sample)
    return {
        "column_accuracy": of_samples(lambda row: row[0] == row[1]),
        "column_top_k": of_samples(lambda row: row[2] <= 2),
        "column_rank": of_samples(lambda row: 1 / row[2]),
        "column_precision": both / taken,
        "column_recall": both / of_it,
        "column_f1": 2 * both / (taken + of_it),
        "column_iou": both / (taken + of_it - both),
        "column_specificity": true_negative / (n - of_it),
        "column_matthews": (both * true_negative - (taken - both) * (of_it - both)) / math.sqrt(taken * (n - taken) * of_it * (n - of_it)),
        "column_balanced_accuracy": mean(b / o for b, _, o in classes if o),
        "column_macro_f1": mean(2 * b / (t + o) for b, t, o in classes if t + o),
        "column_mean_iou": mean(b / (t + o - b) for b, t, o in classes if t + o),
        "all_f1": 2 * every[0] / (every[1] + every[2]),
    }


def expected():
    table = list(rows())
    taken = [scores.index(max(scores)) == POSITIVE for scores, *_ in table]
    is_positive = [label == POSITIVE for _, label, *_ in table]
    right = sum(a and b for a, b in zip(taken, is_positive))
    precision, recall = right / sum(taken), right / sum(is_positive)
    best = [(scores.index(max(scores)), label) for scores, label, *_ in table]
    # The largest of [s1, s2, s3, s1 - 100] from behind, beside the next label of four.
    column = best + best + [(3 - a, (b + 1) % 4) for a, b in best]
    n, p = len(table), sum(is_positive)
    wrong = sum(taken) - right
    spread = math.sqrt(sum(taken) * (n - sum(taken)) * p * (n - p))
    log_p = [scores[label] - math.log(sum(map(math.exp, scores))) for scores, label, *_ in table]
    pairs = [(single(g - t), t > 1000, g, t) for *_, guess, truth in table for g, t in zip(guess, truth)]
    said = sum(z > 0 for z, *_ in pairs)
    hit, yes = sum(z > 0 and t for z, t, *_ in pairs), sum(t for _, t, *_ in pairs)
    of_g, of_t = mean(g for *_, g, _ in pairs), mean(t for *_, t in pairs)
    error = mean(t - g for *_, g, t in pairs)
    variance = mean((t - of_t) ** 2 for *_, t in pairs)
    return {
        "specificity": (n - p - wrong) / (n - p),
        "matthews": (right * (n - p - wrong) - wrong * (p - right)) / spread,
        "no_matthews": 0,
        "balanced_accuracy": of_each_class(best, lambda both, taken, of_it: both / of_it),
        "macro_f1": of_each_class(best, lambda both, taken, of_it: 2 * both / (taken + of_it)),
        "iou_of_one": iou(best),
        "mean_iou": iou(column),
        **of_columns(table),
        "reciprocal_rank": mean(1 / (1 + sum(s > scores[label] for s in scores)) for scores, label, *_ in table),
        "lost": 0,
        "perplexity": math.exp(-mean(log_p)),
        "binary_accuracy": mean((z > 0) == t for z, t, *_ in pairs),
        "strict_accuracy": mean((z > math.log(1.5)) == t for z, t, *_ in pairs),
        "binary_precision": hit / said,
        "binary_recall": hit / yes,
        "binary_f1": 2 * hit / (said + yes),
        "binary_iou": hit / (said + yes - hit),
        "rmse": math.sqrt(mean((g - t) ** 2 for *_, g, t in pairs)),
        "explained_variance": 1 - mean((t - g - error) ** 2 for *_, g, t in pairs) / variance,
        "correlation": mean((g - of_g) * (t - of_t) for *_, g, t in pairs) / math.sqrt(mean((g - of_g) ** 2 for *_, g, _ in pairs) * variance),
        "no_correlation": 0,
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
        # The sum of two numbers near 1000 is rounded to 1e-4, and so is one of them and 3; logarithms, squares and fractions are those of f32.
        close = abs(found[name] - value) <= 1e-7 * name.startswith("column_") + {"r2_of_one": 1e-3, "explained_variance": 1e-4, "perplexity": 1e-6, "rmse": 1e-7, "mean_iou": 1e-8, "reciprocal_rank": 1e-8}.get(name, 1e-9)
        print(f"{name}: {'as expected' if close else f'{found[name]} instead of {value}'}")


main()
