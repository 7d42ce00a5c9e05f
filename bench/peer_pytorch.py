"""The same models in PyTorch, eager: trains for some steps and prints one line of JSON with the milliseconds of each epoch's step.

usage: peer_pytorch.py MODEL --data DIR --threads N --epochs N [--channels-last]
"""
import argparse
import json
import time

import numpy
import torch
from torch import nn

BATCH = 64


class KerasBatchNorm(nn.BatchNorm2d):
    """BatchNorm with the constants of the .model files."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-3, momentum=0.01)


def linear():
    return nn.Sequential(KerasBatchNorm(1), nn.Flatten(), nn.Linear(784, 10))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 256), nn.ReLU(),
                         nn.Dropout(0.2), nn.Linear(256, 10))


def mnist_cnn():
    return nn.Sequential(
        KerasBatchNorm(1),
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))


class CollaborativeDot(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.movie = nn.Embedding(943, 50), nn.Embedding(1682, 50)

    def forward(self, ids):
        return (self.user(ids[:, 0]) * self.movie(ids[:, 1])).sum(-1)


class CollaborativeNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.movie = nn.Embedding(943, 50), nn.Embedding(1682, 50)
        self.network = nn.Sequential(nn.Dropout(0.3), nn.Linear(100, 70), nn.ReLU(), nn.Dropout(0.75), nn.Linear(70, 1))

    def forward(self, ids):
        return self.network(torch.cat([self.user(ids[:, 0]), self.movie(ids[:, 1])], 1)).squeeze(1)


def collab_dot():
    return CollaborativeDot()


def collab_nn():
    return CollaborativeNetwork()


def read_idx(path):
    raw = numpy.fromfile(path, dtype=numpy.uint8)
    rank = raw[3]
    extents = raw[4:4 + 4 * rank].view(">u4").astype(int)
    return raw[4 + 4 * rank:].reshape(extents)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model", choices=["linear", "mlp", "mnist_cnn", "collab_dot", "collab_nn"])
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--epochs", type=int, required=True)
    arguments.add_argument("--channels-last", action="store_true")
    options = arguments.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    # Ready as it is used: a step only gathers its batch.
    if options.model.startswith("collab"):
        ratings = numpy.loadtxt(options.data + "/train.csv", delimiter=",", skiprows=1)
        inputs, targets = torch.from_numpy(ratings[:, :2].astype(numpy.int64)), torch.from_numpy(ratings[:, 2]).float()
        loss_function = nn.MSELoss()
    else:
        inputs = (torch.from_numpy(read_idx(options.data + "/train-images-idx3-ubyte").copy()).unsqueeze(1).float() / 255).to(memory_format=layout)
        targets = torch.from_numpy(read_idx(options.data + "/train-labels-idx1-ubyte").astype(numpy.int64))
        loss_function = nn.CrossEntropyLoss()
    model = globals()[options.model]().to(memory_format=layout).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-8)
    steps = len(inputs) // BATCH
    epoch_ms, last = [], 0.0
    for _ in range(options.epochs):
        order = torch.randperm(len(inputs))
        begin = time.perf_counter()
        for step in range(steps):
            picks = order[step * BATCH:(step + 1) * BATCH]
            batch = inputs[picks]
            if batch.dim() == 4:
                batch = batch.contiguous(memory_format=layout)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(model(batch), targets[picks])
            loss.backward()
            optimizer.step()
        last = loss.item()
        epoch_ms.append((time.perf_counter() - begin) * 1000 / steps)
    print(json.dumps({"epoch_ms": epoch_ms, "loss": last, "version": torch.__version__}))


if __name__ == "__main__":
    main()
