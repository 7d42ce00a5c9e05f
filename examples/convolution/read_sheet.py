"""Turns the weights of the course's sheet into start values for the model beside it.

usage: read_sheet.py TABLES FILE
TABLES holds the sheet's tables as CSV; FILE becomes their numbers as safetensors.
"""
import csv
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from safetensors import write_safetensors

tables, path = sys.argv[1:]


def table(name):
    return [[float(cell) for cell in row] for row in csv.reader(open(f"{tables}/{name}.csv"))]


def interleaved(names):
    """Row by row, and of each cell the tables' values one after the other: the last axes of the model's tensors."""
    return [value for rows in zip(*map(table, names)) for cells in zip(*rows) for value in cells]


write_safetensors(path, {
    "Convolution/conv_1/W": ([3, 3, 1, 2], interleaved(["conv_filter1_1", "conv_filter2_1"])),
    "Convolution/conv_2/W": ([3, 3, 2, 2], interleaved(["conv_filter1_2_ch1", "conv_filter2_2_ch1", "conv_filter1_2_ch2", "conv_filter2_2_ch2"])),
    "Convolution/dense/W": ([312, 1], interleaved(["dense_w1", "dense_w2"])),
})
