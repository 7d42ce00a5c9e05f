"""The models in PyTorch, with the weights that Kiln starts from. See peer.py.

usage: peer_pytorch.py MODEL --data DIR --weights FILE --threads N [--channels-last] [--compile]
"""
import peer  # first: it takes the time

import math

import torch
from torch import nn
from torch.nn import functional


class Weights:
    """Layers made from Kiln's tensors, which also say how large they are. `reset` fills them again."""

    def __init__(self, tensors):
        self.tensors, self.filled = tensors, []

    def fill(self, parameter, name, arrange=lambda tensor: tensor):
        self.filled.append((parameter, arrange(torch.from_numpy(self.tensors[name]))))

    def reset(self):
        with torch.no_grad():
            for parameter, tensor in self.filled:
                parameter.copy_(tensor)

    def conv(self, path, **options):
        height, width, channels, filters = self.tensors[path + "/W"].shape
        layer = nn.Conv2d(channels, filters, (height, width), bias=path + "/b" in self.tensors, **options)
        self.fill(layer.weight, path + "/W", lambda w: w.permute(3, 2, 0, 1))
        if layer.bias is not None:
            self.fill(layer.bias, path + "/b")
        return layer

    def dense(self, path, channels=0):
        """channels: of the picture that was flattened; PyTorch flattens it with the channels first."""
        inputs, units = self.tensors[path + "/W"].shape
        layer = nn.Linear(inputs, units)
        side = math.isqrt(inputs // channels) if channels else 0
        self.fill(layer.weight, path + "/W",
                  lambda w: (w.reshape(side, side, channels, units).permute(2, 0, 1, 3).reshape(inputs, units) if channels else w).T)
        self.fill(layer.bias, path + "/b")
        return layer

    def norm(self, path, kind=nn.BatchNorm2d, eps=1e-3, momentum=0.01):
        layer = kind(len(self.tensors[path + "/gamma"]), eps=eps, momentum=momentum)
        self.fill(layer.weight, path + "/gamma")
        self.fill(layer.bias, path + "/beta")
        return layer

    def embedding(self, path):
        layer = nn.Embedding(*self.tensors[path + "/W"].shape)
        self.fill(layer.weight, path + "/W")
        return layer


class Scale(nn.Module):
    """Bytes as numbers in [0, 1]."""

    def forward(self, x):
        return x / 255


def linear(w):
    return nn.Sequential(w.norm("Linear/batch_norm"), nn.Flatten(), w.dense("Linear/dense"))


def mlp(w):
    return nn.Sequential(Scale(), nn.Flatten(), w.dense("Perceptron/dense_1"), nn.ReLU(), nn.Dropout(0.2), w.dense("Perceptron/dense_2"), nn.ReLU(),
                         nn.Dropout(0.2), w.dense("Perceptron/dense_3"))


def mnist_cnn(w):
    return nn.Sequential(
        w.norm("Digits/batch_norm"),
        w.conv("Digits/conv_1"), nn.ReLU(), w.conv("Digits/conv_2"), nn.ReLU(), nn.MaxPool2d(2),
        w.conv("Digits/conv_3"), nn.ReLU(), w.conv("Digits/conv_4"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), w.dense("Digits/dense_1", channels=64), nn.ReLU(), nn.Dropout(0.5), w.dense("Digits/dense_2"))


def vgg_cifar(w):
    layers = [Scale()]
    for stage in (1, 2, 3):
        for number in (1, 2):
            layers += [w.conv(f"Vgg/stage_{stage}/conv_{number}", padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), w.dense("Vgg/dense_1", channels=256), nn.ReLU(), w.dense("Vgg/dense_2"))


class ConvNorm(nn.Sequential):
    def __init__(self, w, path, stride=1):
        size = w.tensors[path + "/conv/W"].shape[0]
        super().__init__(w.conv(path + "/conv", stride=stride, padding=size // 2), w.norm(path + "/batch_norm", eps=1e-5, momentum=0.1))


class Block(nn.Module):
    def __init__(self, w, path, stride=1):
        super().__init__()
        self.first, self.second = ConvNorm(w, path + "/conv_norm_1", stride), ConvNorm(w, path + "/conv_norm_2")
        self.shortcut = nn.Identity() if stride == 1 else ConvNorm(w, path + "/conv_norm_3", stride)

    def forward(self, x):
        return functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(x))


def resnet20(w):
    blocks = [Block(w, f"Resnet/block_{number}", stride=2 if number in (4, 7) else 1) for number in range(1, 10)]
    return nn.Sequential(Scale(), ConvNorm(w, "Resnet/conv_norm"), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), w.dense("Resnet/dense"))


def statefarm(w):
    return nn.Sequential(
        w.norm("Drivers/batch_norm_1"),
        w.conv("Drivers/conv_1"), nn.ReLU(), w.norm("Drivers/batch_norm_2"), nn.MaxPool2d(3),
        w.conv("Drivers/conv_2"), nn.ReLU(), w.norm("Drivers/batch_norm_3"), nn.MaxPool2d(3),
        nn.Flatten(), w.dense("Drivers/dense_1", channels=64), nn.ReLU(), w.norm("Drivers/batch_norm_4", nn.BatchNorm1d), w.dense("Drivers/dense_2"))


class CollaborativeDot(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.user, self.movie = w.embedding("Ratings/embedding_1"), w.embedding("Ratings/embedding_2")

    def forward(self, ids):
        return (self.user(ids[:, 0]) * self.movie(ids[:, 1])).sum(-1)


class CollaborativeNetwork(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.user, self.movie = w.embedding("Ratings/embedding_1"), w.embedding("Ratings/embedding_2")
        self.network = nn.Sequential(nn.Dropout(0.3), w.dense("Ratings/dense_1"), nn.ReLU(), nn.Dropout(0.75), w.dense("Ratings/dense_2"))

    def forward(self, ids):
        return self.network(torch.cat([self.user(ids[:, 0]), self.movie(ids[:, 1])], 1)).squeeze(1)


MODELS = {"linear": linear, "mlp": mlp, "mnist_cnn": mnist_cnn, "vgg_cifar": vgg_cifar, "resnet20": resnet20, "statefarm": statefarm,
          "collab_dot": CollaborativeDot, "collab_nn": CollaborativeNetwork}


class PyTorch:
    def __init__(self, options):
        self.layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.weights = Weights(peer.read_safetensors(options.weights))
        self.rate = 1e-4 if options.model == "statefarm" else 1e-3
        self.model = MODELS[options.model](self.weights).to(memory_format=self.layout).train()
        error = functional.mse_loss if options.model.startswith("collab") else functional.cross_entropy
        self.loss = lambda inputs, targets: error(self.model(inputs), targets)
        if options.compile:
            self.loss = torch.compile(self.loss)
        self.begin()

    def begin(self):
        self.weights.reset()
        # In one pass over all parameters where this PyTorch can.
        try:
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.rate, eps=1e-8, fused=True)
        except (TypeError, RuntimeError):
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.rate, eps=1e-8)

    def reset(self):
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.begin()

    def prepare(self, inputs, targets):
        inputs = torch.from_numpy(inputs.copy())
        if inputs.dim() == 4:
            inputs = inputs.float().permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        targets = torch.from_numpy(targets.copy())
        return inputs, targets if targets.is_floating_point() else targets.long()

    def step(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*batch)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def value(self, loss):
        return loss.item()


def main():
    def more(arguments):
        arguments.add_argument("--channels-last", action="store_true")
        arguments.add_argument("--compile", action="store_true")

    options = peer.command_line(more)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as Kiln does
    torch.manual_seed(0)
    peer.serve(PyTorch(options), peer.Records(options.model, options.data), torch.__version__)


if __name__ == "__main__":
    main()
