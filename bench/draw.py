"""Records for the benchmark: their number and shape matter, what they say hardly does, except that a model finds something to learn.

Each class has a pattern of 4 x 4 squares, a picture is the pattern of its class under as much noise, and one label in five is wrong, so that
the loss stays well above 0; ratings are drawn from a model of few factors.
"""
import os

import numpy

SHAPES = {"linear": (28, 28), "mlp": (28, 28), "mnist_cnn": (28, 28), "vgg_cifar": (32, 32, 3), "resnet20": (32, 32, 3), "statefarm": (224, 224, 3)}
USERS, MOVIES = 943, 1682  # of MovieLens 100K


def write_idx(path, array):
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, array.ndim]))
        for extent in array.shape:
            file.write(int(extent).to_bytes(4, "big"))
        array.tofile(file)


def draw_pictures(folder, shape, count, validation):
    numbers = numpy.random.default_rng(1)
    coarse = numbers.integers(0, 256, (10, 4, 4, *shape[2:]), dtype=numpy.uint8)
    patterns = coarse.repeat(shape[0] // 4, 1).repeat(shape[1] // 4, 2)
    for split, records in (("train", count), ("t10k", validation)):
        labels = numbers.integers(0, 10, records, dtype=numpy.uint8)
        pictures = numpy.empty((records, *shape), numpy.uint8)
        for i, label in enumerate(labels):
            pictures[i] = numbers.integers(0, 128, shape, dtype=numpy.uint8) + (patterns[label] >> 1)
        wrong = numbers.random(records) < 0.2
        labels[wrong] = numbers.integers(0, 10, wrong.sum(), dtype=numpy.uint8)
        write_idx(os.path.join(folder, f"{split}-images-idx{len(shape) + 1}-ubyte"), pictures)
        write_idx(os.path.join(folder, f"{split}-labels-idx1-ubyte"), labels)


def draw_ratings(folder, count, validation):
    numbers = numpy.random.default_rng(1)
    users, movies = numbers.normal(size=(USERS, 4)), numbers.normal(size=(MOVIES, 4))
    for split, records in (("train", count), ("validation", validation)):
        pairs = numpy.stack([numbers.integers(0, USERS, records), numbers.integers(0, MOVIES, records)], 1)
        ratings = numpy.clip(numpy.round(3.5 + (users[pairs[:, 0]] * movies[pairs[:, 1]]).sum(1) / 2), 1, 5)
        numpy.savetxt(os.path.join(folder, f"{split}.csv"), numpy.column_stack([pairs, ratings]), fmt="%d", delimiter=",", header="user,movie,rating", comments="")


def draw(folder, model, count, validation=64):
    """The folder below `folder` with so many training records for a model, made unless it is there."""
    data = os.path.join(folder, f"{'x'.join(map(str, SHAPES.get(model, ('ratings',))))}-{count}")
    if not os.path.exists(os.path.join(data, "complete")):
        os.makedirs(data, exist_ok=True)
        if model in SHAPES:
            draw_pictures(data, SHAPES[model], count, validation)
        else:
            draw_ratings(data, count, validation)
        open(os.path.join(data, "complete"), "w").close()
    return data
