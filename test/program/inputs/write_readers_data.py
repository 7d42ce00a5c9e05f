"""Writes the same records as CSV and as NumPy archives: usage: write_readers_data.py FOLDER"""
import struct
import sys
import zipfile

folder = sys.argv[1]
formats = {"user": "<i8", "x": "<f4", "kind": "<i4", "other": "|u1"}
codes = {"<i8": "q", "<f4": "f", "<i4": "i", "|u1": "B"}


def npy(name, values):
    header = str({"descr": formats[name], "fortran_order": False, "shape": (len(values),)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}{codes[formats[name]]}", *values)


def write(split, names, rows, plural=""):
    with open(f"{folder}/{split}.csv", "w") as file:
        file.write(",".join(names) + "\n" + "".join(",".join(f"{value:g}" for value in row) + "\n" for row in rows))
    with zipfile.ZipFile(f"{folder}/{split}.npz", "w") as archive:
        for name, values in zip(names, zip(*rows)):
            archive.writestr(f"{name}{plural}.npy", npy(name, values))


write("train", ["user", "x", "kind", "other"], [(30 - 10 * (i % 3), i / 64, i % 3, i % 2) for i in range(64)])
write("test", ["user", "x"], [(20, 0.5), (77, 0.25)], "s")
