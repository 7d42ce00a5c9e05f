"""Writes start values for `train --init` and `trace --init`."""
import json
import struct


def write_safetensors(path, tensors):
    """`tensors`: {name: (shape, values)}, values in row-major order, stored as F64. The format: github.com/huggingface/safetensors."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F64", "shape": shape, "data_offsets": [len(data), len(data) + 8 * len(values)]}
        data += struct.pack(f"<{len(values)}d", *values)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
