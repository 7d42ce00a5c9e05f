"""Writes 800 sequences of random numbers in [-1, 1), for recall.model. usage: write_symbols.py FILE"""
import random
import struct
import sys

random.seed(5)
records, length = 800, 6
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack(">BBBBII", 0, 0, 0x0D, 2, records, length))
    file.write(struct.pack(f">{records * length}f", *(random.random() * 2 - 1 for _ in range(records * length))))
