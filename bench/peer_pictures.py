"""Photographs from their files to an update in PyTorch: PIL decodes and augments, a DataLoader makes the batches, eager steps train.

usage: peer_pictures.py FOLDER --threads N --workers N --epochs N [--channels-last]
prints one JSON object: {"samples_per_second": [by epoch]}. The network and the augmentation are those of
examples/distracted-driver/augmented.model.
"""
import argparse
import json
import math
import os
import random
import time

import numpy
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

HEIGHT, WIDTH, BATCH = 60, 80, 64


def augmented(picture):
    """Rotation by up to 15 degrees, shifts by up to 0.05 of the height and 0.1 of the width, slant by up to 0.1, in one interpolation, as
    torchvision's RandomAffine; then up to 20 added to each channel."""
    angle, slant = math.radians(random.uniform(-15, 15)), random.uniform(-0.1, 0.1)
    right, down = random.uniform(-0.1, 0.1) * WIDTH, random.uniform(-0.05, 0.05) * HEIGHT
    a, b = math.cos(angle), math.sin(angle) + slant * math.cos(angle)
    c, d = -math.sin(angle), math.cos(angle) - slant * math.sin(angle)
    x, y = WIDTH / 2, HEIGHT / 2
    picture = picture.transform((WIDTH, HEIGHT), Image.AFFINE, (a, b, x - a * (x + right) - b * (y + down), c, d, y - c * (x + right) - d * (y + down)), Image.BILINEAR)
    return numpy.asarray(picture, dtype=numpy.float32) + numpy.random.uniform(-20, 20, 3).astype(numpy.float32)


class Photographs(Dataset):
    def __init__(self, folder):
        classes = sorted(os.listdir(folder))
        self.files = [(os.path.join(folder, name, file), label) for label, name in enumerate(classes) for file in sorted(os.listdir(os.path.join(folder, name)))]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path, label = self.files[index]
        picture = Image.open(path).convert("RGB")
        if picture.size != (WIDTH, HEIGHT):
            picture = picture.resize((WIDTH, HEIGHT), Image.BILINEAR)
        return torch.from_numpy(numpy.ascontiguousarray(augmented(picture).transpose(2, 0, 1))), label


def network():
    def block(channels, filters):
        return [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.BatchNorm2d(filters), nn.MaxPool2d(3)]

    return nn.Sequential(nn.BatchNorm2d(3), *block(3, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 5 * 8, 200), nn.ReLU(), nn.BatchNorm1d(200), nn.Linear(200, 10))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    model = network().to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = DataLoader(Photographs(options.folder), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=options.workers,
                        persistent_workers=options.workers > 0)
    rates = []
    for _ in range(options.epochs):
        begin, count = time.perf_counter(), 0
        for pictures, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(pictures.contiguous(memory_format=layout)), labels).backward()
            optimizer.step()
            count += len(labels)
        rates.append(count / (time.perf_counter() - begin))
    print(json.dumps({"samples_per_second": rates}))


if __name__ == "__main__":
    main()
