"""Ratings with known factors, in the files of MovieLens 100K, and what a trained model made of them.

usage: synthetic_ratings.py write FOLDER
       synthetic_ratings.py compare RUN TOLERANCE

score(u, m) = 3.5 + bias(u) + bias(m) + factors(u) . factors(m), two factors, noise of 0.05; seven tenths of all pairs are in u1.base. The last movie is
in u1.test alone. `compare` reads the parameters of test/program/inputs/factors.model from the last checkpoint of RUN. Many parameters give the
same scores, so both sides are brought to the same form: means of rows and columns (the biases) and what is left (the product of the factors);
and the true factors are fitted by the trained ones, which undoes the turn that a product leaves open."""
import json
import math
import os
import random
import struct
import sys

USERS, MOVIES = 60, 40


def truth():
    draw = random.Random(7)
    normal = lambda size, spread: [draw.gauss(0, spread) for _ in range(size)]
    return {"user": [normal(2, 0.6) for _ in range(USERS)], "movie": [normal(2, 0.6) for _ in range(MOVIES)],
            "user_bias": normal(USERS, 0.4), "movie_bias": normal(MOVIES, 0.4)}, draw


def scores(level, user, movie, user_bias, movie_bias):
    return [[level + bu + bm + sum(a * b for a, b in zip(u, m)) for m, bm in zip(movie, movie_bias)] for u, bu in zip(user, user_bias)]


def write(folder):
    true, draw = truth()
    table = scores(3.5, true["user"], true["movie"], true["user_bias"], true["movie_bias"])
    os.makedirs(folder, exist_ok=True)
    pairs = [(u, m) for u in range(USERS) for m in range(MOVIES)]
    draw.shuffle(pairs)
    with open(folder + "/u1.base", "w") as base, open(folder + "/u1.test", "w") as test:
        for i, (u, m) in enumerate(pairs):
            print(u + 1, m + 1, table[u][m] + draw.gauss(0, 0.05), 0, sep="\t", file=base if i < 0.7 * len(pairs) else test)
        print(1, MOVIES + 1, 3.5, 0, sep="\t", file=test)
    with open(folder + "/u.user", "w") as users:
        for u in range(USERS):
            print(u + 1, 20 + u % 40, "MF"[u % 2], "job%d" % (u % 21), "00000", sep="|", file=users)
    with open(folder + "/u.item", "wb") as movies:
        for m in range(MOVIES + 1):
            genre = [int(g == m % 19) for g in range(19)]
            movies.write("|".join(map(str, [m + 1, 'The "Film\u00e9" %d' % (m + 1), "", "", "", *genre])).encode("latin-1") + b"\n")


def parameters(run):
    content = open(run + "/last/weights.safetensors", "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    result = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = struct.unpack("<%df" % ((end - begin) // 4), content[8 + length + begin:8 + length + end])
        width = entry["shape"][1] if len(entry["shape"]) > 1 else 1
        result[name] = [list(values[i:i + width]) for i in range(0, len(values), width)]
    return result


def centred(table):
    rows = [sum(row) / len(row) for row in table]
    columns = [sum(column) / len(column) for column in zip(*table)]
    mean = sum(rows) / len(rows)
    return [r - mean for r in rows], [c - mean for c in columns], [v - r - c + mean for row, r in zip(table, rows) for v, c in zip(row, columns)]


def error(found, true):
    return math.sqrt(sum((f - t) ** 2 for f, t in zip(found, true)) / sum(t ** 2 for t in true))


def fitted(inputs, targets):
    """What least squares on the inputs and a constant makes of the targets."""
    rows = [row + [1.0] for row in inputs]
    n = len(rows[0])
    system = [[sum(r[i] * r[j] for r in rows) for j in range(n)] + [sum(r[i] * t for r, t in zip(rows, targets))] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(system[k][i]))
        system[i], system[pivot] = system[pivot], system[i]
        for k in range(n):
            if k != i:
                factor = system[k][i] / system[i][i]
                system[k] = [a - factor * b for a, b in zip(system[k], system[i])]
    weights = [system[i][n] / system[i][i] for i in range(n)]
    return [sum(w * v for w, v in zip(weights, row)) for row in rows]


def compare(run, tolerance):
    true, _ = truth()
    found = parameters(run)
    values = json.load(open(run + "/last/vocabularies.json"))["inputs"]
    assert values["user"]["values"] == [str(u + 1) for u in range(USERS)] and values["movie"]["values"] == [str(m + 1) for m in range(MOVIES)]
    flat = lambda name, count: [row[0] for row in found[name][:count]]
    table = scores(found["Factors/level"][0][0], found["Factors/embedding_1/W"], found["Factors/embedding_2/W"][:MOVIES],
                   flat("Factors/embedding_3/W", USERS), flat("Factors/embedding_4/W", MOVIES))
    wanted = scores(3.5, true["user"], true["movie"], true["user_bias"], true["movie_bias"])
    errors = {name: error(f, t) for name, f, t in zip(["biases of users", "biases of movies", "products of factors"], centred(table), centred(wanted))}
    for side, name, count in [("user", "Factors/embedding_1/W", USERS), ("movie", "Factors/embedding_2/W", MOVIES)]:
        for k in range(2):
            factor = [row[k] for row in true[side]]
            mean = sum(factor) / count
            fit = fitted(found[name][:count], factor)
            errors["factor %d of %ss" % (k + 1, side)] = error([f - mean for f in fit], [t - mean for t in factor])
    for name, value in errors.items():
        print("%-24s relative error %.4f" % (name, value))
    return max(errors.values()) > tolerance


if sys.argv[1] == "write":
    write(sys.argv[2])
else:
    sys.exit(compare(sys.argv[2], float(sys.argv[3])))
