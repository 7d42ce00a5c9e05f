"""Pictures of classes: patches of random classes, as bytes in masks.npy and as floats in images.npy. usage: write_masks.py FOLDER [RECORDS [SIDE]]"""
import array
import os
import random
import sys


def save(path, kind, shape, data):
    header = repr({"descr": kind, "fortran_order": False, "shape": shape})
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117).encode() + b"\n")
        data.tofile(file)


folder, records, side = sys.argv[1], *(int(x) for x in sys.argv[2:]), *[64, 24][len(sys.argv) - 2:]
numbers = random.Random(4)
masks = array.array("B")
for _ in range(records):
    patches = [[numbers.randrange(4) for _ in range(side // 3 + 1)] for _ in range(side // 3 + 1)]
    for y in range(side):
        masks.extend(patches[y // 3][x // 3] for x in range(side))
save(os.path.join(folder, "masks.npy"), "|u1", (records, side, side), masks)
save(os.path.join(folder, "images.npy"), "<f4", (records, side, side, 1), array.array("f", masks))
