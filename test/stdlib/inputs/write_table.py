"""Writes a table of y = sin(3 a) + a b as IDX files of 32-bit floats: inputs [n, 2] and targets [n, 1], for training and for testing.

usage: write_table.py FOLDER
"""
import math
import os
import random
import struct
import sys


def write(path, rows):
    with open(path, "wb") as file:
        file.write(struct.pack(">BBBBII", 0, 0, 0x0D, 2, len(rows), len(rows[0])))
        for row in rows:
            file.write(struct.pack(">%df" % len(row), *row))


def main():
    numbers = random.Random(3)
    os.makedirs(sys.argv[1], exist_ok=True)
    for split, count in [("train", 1024), ("test", 250)]:
        inputs = [(numbers.uniform(-1, 1), numbers.uniform(-1, 1)) for _ in range(count)]
        write(os.path.join(sys.argv[1], split + "-inputs"), inputs)
        write(os.path.join(sys.argv[1], split + "-targets"), [(math.sin(3 * a) + a * b,) for a, b in inputs])


main()
