"""What the peers share: start weights, batches, and the conversation with run.py.

A peer is started as
  peer_NAME.py MODEL --data DIR --weights FILE --threads N [options of its own]
takes its first step, prints a line, and then answers each line of its standard input with one line of JSON:
  steps N    N training steps on a batch that lies ready     {"ms": milliseconds a step}
  epoch      an epoch: order, batches from the records, steps {"ms": milliseconds a step}
  losses N   from the start weights, without dropout, N steps on batches in the order of the records  {"losses": [..]}

A peer module provides a class with
  prepare(records, targets)   arrays of a batch -> the batch as a step takes it
  step(batch)                 one training step; returns the loss as something that `value` reads later
  value(loss)                 waits for it
  reset()                     start weights, fresh optimizer, no dropout from now on
"""
import argparse
import json
import os
import sys
import time

BEGIN = time.perf_counter()

import numpy

BATCH = 64


def read_safetensors(path):
    """Tensors by name; https://github.com/huggingface/safetensors#format. Of the floats in use here."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header, data = json.loads(file.read(length)), file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(data[begin:end], dtype=numpy.float32).reshape(entry["shape"]).copy()
    return tensors


def read_idx(path):
    with open(path, "rb") as file:
        rank = file.read(4)[3]
        extents = [int.from_bytes(file.read(4), "big") for _ in range(rank)]
    return numpy.memmap(path, dtype=numpy.uint8, mode="r", offset=4 + 4 * rank, shape=tuple(extents))


class Records:
    """The training split. Pictures stay bytes until their batch is made, as in Kiln: less memory, and less to gather."""

    def __init__(self, model, folder):
        if model.startswith("collab"):
            rows = numpy.loadtxt(os.path.join(folder, "train.csv"), delimiter=",", skiprows=1)
            self.inputs, self.targets = rows[:, :2].astype(numpy.int32), rows[:, 2].astype(numpy.float32)
        else:
            name = "train-images-idx4-ubyte"
            if not os.path.exists(os.path.join(folder, name)):
                name = "train-images-idx3-ubyte"
            self.inputs = read_idx(os.path.join(folder, name))
            self.targets = read_idx(os.path.join(folder, "train-labels-idx1-ubyte"))
            if self.inputs.ndim == 3:
                self.inputs = self.inputs[..., None]
        self.steps = len(self.inputs) // BATCH

    def batch(self, picks):
        return self.inputs[picks], self.targets[picks]

    def in_order(self, step):
        begin = step % self.steps * BATCH
        return self.inputs[begin:begin + BATCH], self.targets[begin:begin + BATCH]


def command_line(add=lambda arguments: None):
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--weights", required=True)
    arguments.add_argument("--threads", type=int, required=True)
    add(arguments)
    return arguments.parse_args()


def serve(peer, records, version):
    """Takes the first step, says so, and answers requests until the input ends."""
    def answer(**fields):
        print(json.dumps(fields), flush=True)

    ready = peer.prepare(*records.in_order(0))
    begin = time.perf_counter()
    peer.value(peer.step(ready))
    now = time.perf_counter()
    answer(version=version, first_step_s=now - begin, since_main_s=now - BEGIN)
    order = numpy.random.default_rng(0)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "steps":
            count = int(words[1])
            begin = time.perf_counter()
            for _ in range(count):
                loss = peer.step(ready)
            peer.value(loss)
            answer(ms=(time.perf_counter() - begin) * 1000 / count)
        elif words[0] == "epoch":
            begin = time.perf_counter()
            picks = order.permutation(len(records.inputs))
            for i in range(records.steps):
                loss = peer.step(peer.prepare(*records.batch(picks[i * BATCH:(i + 1) * BATCH])))
            peer.value(loss)
            answer(ms=(time.perf_counter() - begin) * 1000 / records.steps)
        elif words[0] == "losses":
            peer.reset()
            losses = [peer.step(peer.prepare(*records.in_order(i))) for i in range(int(words[1]))]
            answer(losses=[peer.value(loss) for loss in losses])
