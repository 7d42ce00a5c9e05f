"""Lists the tensors of a safetensors file, read as the format's own description says. usage: list_safetensors.py FILE"""
import json
import struct
import sys

content = open(sys.argv[1], "rb").read()
(length,) = struct.unpack("<Q", content[:8])
end = 0
for name, entry in json.loads(content[8:8 + length]).items():
    if name != "__metadata__":
        print(name, entry["dtype"], entry["shape"])
        end = max(end, entry["data_offsets"][1])
sys.exit(8 + length + end != len(content))
