"""Compares what trace wrote with the tables of the course's convolution sheet, cell by cell. usage: check_convolution.py TRACE TABLES"""
import csv
import math
import sys

trace, tables = sys.argv[1:3]
TOLERANCE = 1e-12


def maps(name):
    """The maps of one tensor, which an empty line separates."""
    blocks = open(f"{trace}/{name}.csv").read().rstrip("\n").split("\n\n")
    return [[[float(cell) for cell in row] for row in csv.reader(block.splitlines())] for block in blocks]


def table(name):
    return [[float(cell) for cell in row] for row in csv.reader(open(f"{tables}/{name}.csv"))]


worst, cells = 0.0, 0


def compare(name, found, expected):
    global worst, cells
    if [len(row) for row in found] != [len(row) for row in expected]:
        sys.exit(f"{name}: {len(found)} rows of {len(found[0])}, the sheet has {len(expected)} of {len(expected[0])}")
    for y, rows in enumerate(zip(found, expected)):
        for x, (a, b) in enumerate(zip(*rows)):
            error = abs(a - b) / max(abs(b), 1e-300) if a != b else 0.0
            worst, cells = max(worst, error), cells + 1
            if not error <= TOLERANCE:
                sys.exit(f"{name}: row {y + 1}, column {x + 1} is {a!r}, in the sheet {b!r}")


# The sheet's pixels are 0 to 1, rounded to single precision; the trace shows them as they come in.
pixels = [[round(cell * 255) for cell in row] for row in table("conv_input_28x28")]
compare("image", maps("image")[0], pixels)
for name, sheets in {
        "conv_1.W": ["conv_filter1_1", "conv_filter2_1"],
        "conv_1": ["conv1_out1", "conv1_out2"],
        "conv_2.W": ["conv_filter1_2_ch1", "conv_filter1_2_ch2", "conv_filter2_2_ch1", "conv_filter2_2_ch2"],
        "conv_2": ["conv2_out1", "conv2_out2"],
        "max_pool": ["maxpool_out1", "maxpool_out2"],
}.items():
    found = maps(name)
    assert len(found) == len(sheets), name
    for values, sheet in zip(found, sheets):
        compare(sheet, values, table(sheet))
weights = [[cell] for rows in zip(table("dense_w1"), table("dense_w2")) for cells_of_pixel in zip(*rows) for cell in cells_of_pixel]
compare("dense weights", maps("dense.W")[0], weights)
activation = float(open(f"{tables}/dense_activation.csv").read().split(",")[0])
assert math.isclose(activation, 1814.9177220748, rel_tol=1e-12)
compare("dense activation", maps("activation")[0], [[activation]])
print(f"{cells} cells, worst relative difference {worst:.1e}")
