"""The models in JAX, one jitted function a step, with the weights that Kiln starts from. See peer.py.

usage: peer_jax.py MODEL --data DIR --weights FILE --threads N
"""
import peer  # first: it takes the time

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax


def conv(w, path, x, stride=1, padding="VALID"):
    y = lax.conv_general_dilated(x, w[path + "/W"], (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + w[path + "/b"] if path + "/b" in w else y


def dense(w, path, x):
    return x @ w[path + "/W"] + w[path + "/b"]


def norm(w, averages, path, x, eps=1e-3, momentum=0.99):
    """Normalised by the batch; the running averages of the next step go to `averages`."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = jnp.square(x - mean).mean(axes)
    averages[path] = [momentum * old + (1 - momentum) * new for old, new in zip(averages[path], (mean, variance))]
    return w[path + "/gamma"] * lax.rsqrt(variance + eps) * (x - mean) + w[path + "/beta"]


def max_pool(x, size):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, size, size, 1), "VALID")


def dropout(keys, rate, x):
    if rate == 0:
        return x
    return jnp.where(jax.random.bernoulli(next(keys), 1 - rate, x.shape), x / (1 - rate), 0)


def flatten(x):
    return x.reshape(len(x), -1)


relu = jax.nn.relu


def linear(w, averages, keys, drop, x):
    return dense(w, "Linear/dense", flatten(norm(w, averages, "Linear/batch_norm", x)))


def mlp(w, averages, keys, drop, x):
    x = relu(dense(w, "Perceptron/dense_1", flatten(x / 255)))
    x = relu(dense(w, "Perceptron/dense_2", dropout(keys, 0.2 * drop, x)))
    return dense(w, "Perceptron/dense_3", dropout(keys, 0.2 * drop, x))


def mnist_cnn(w, averages, keys, drop, x):
    x = norm(w, averages, "Digits/batch_norm", x)
    x = max_pool(relu(conv(w, "Digits/conv_2", relu(conv(w, "Digits/conv_1", x)))), 2)
    x = max_pool(relu(conv(w, "Digits/conv_4", relu(conv(w, "Digits/conv_3", x)))), 2)
    return dense(w, "Digits/dense_2", dropout(keys, 0.5 * drop, relu(dense(w, "Digits/dense_1", flatten(x)))))


def vgg_cifar(w, averages, keys, drop, x):
    x = x / 255
    for stage in (1, 2, 3):
        for number in (1, 2):
            x = relu(conv(w, f"Vgg/stage_{stage}/conv_{number}", x, padding="SAME"))
        x = max_pool(x, 2)
    return dense(w, "Vgg/dense_2", relu(dense(w, "Vgg/dense_1", flatten(x))))


def conv_norm(w, averages, path, x, stride=1):
    around = w[path + "/conv/W"].shape[0] // 2
    x = conv(w, path + "/conv", x, stride, [(around, around), (around, around)])
    return norm(w, averages, path + "/batch_norm", x, eps=1e-5, momentum=0.9)


def resnet20(w, averages, keys, drop, x):
    x = relu(conv_norm(w, averages, "Resnet/conv_norm", x / 255))
    for number in range(1, 10):
        path, stride = f"Resnet/block_{number}", 2 if number in (4, 7) else 1
        y = conv_norm(w, averages, path + "/conv_norm_2", relu(conv_norm(w, averages, path + "/conv_norm_1", x, stride)))
        x = relu(y + (x if stride == 1 else conv_norm(w, averages, path + "/conv_norm_3", x, stride)))
    return dense(w, "Resnet/dense", x.mean((1, 2)))


def statefarm(w, averages, keys, drop, x):
    x = norm(w, averages, "Drivers/batch_norm_1", x)
    x = max_pool(norm(w, averages, "Drivers/batch_norm_2", relu(conv(w, "Drivers/conv_1", x))), 3)
    x = max_pool(norm(w, averages, "Drivers/batch_norm_3", relu(conv(w, "Drivers/conv_2", x))), 3)
    return dense(w, "Drivers/dense_2", norm(w, averages, "Drivers/batch_norm_4", relu(dense(w, "Drivers/dense_1", flatten(x)))))


def collab_dot(w, averages, keys, drop, ids):
    return (w["Ratings/embedding_1/W"][ids[:, 0]] * w["Ratings/embedding_2/W"][ids[:, 1]]).sum(-1)


def collab_nn(w, averages, keys, drop, ids):
    x = jnp.concatenate([w["Ratings/embedding_1/W"][ids[:, 0]], w["Ratings/embedding_2/W"][ids[:, 1]]], 1)
    x = relu(dense(w, "Ratings/dense_1", dropout(keys, 0.3 * drop, x)))
    return dense(w, "Ratings/dense_2", dropout(keys, 0.75 * drop, x))[:, 0]


MODELS = {f.__name__: f for f in (linear, mlp, mnist_cnn, vgg_cifar, resnet20, statefarm, collab_dot, collab_nn)}


def random_keys(key):
    while True:
        key, one = jax.random.split(key)
        yield one


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def squared_error(scores, ratings):
    return jnp.square(scores - ratings).mean()


class Jax:
    def __init__(self, options):
        self.tensors = peer.read_safetensors(options.weights)
        model, rate = MODELS[options.model], 1e-4 if options.model == "statefarm" else 1e-3
        error = squared_error if options.model.startswith("collab") else cross_entropy

        @partial(jax.jit, static_argnums=1, donate_argnums=0)
        def step(state, drop, inputs, targets):
            weights, averages, m, v, count = state

            def loss_of(weights):
                new = dict(averages)
                keys = random_keys(jax.random.fold_in(jax.random.key(0), count))
                return error(model(weights, new, keys, drop, inputs), targets), new

            (loss, new), gradient = jax.value_and_grad(loss_of, has_aux=True)(weights)
            count = count + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
            scale, root = rate / (1 - 0.9 ** count), 1 / (1 - 0.999 ** count)
            weights = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(root * v) + 1e-8), weights, m, v)
            return (weights, new, m, v, count), loss

        self.jitted, self.drop = step, True
        self.begin()

    def begin(self):
        trained = {name: jnp.array(tensor) for name, tensor in self.tensors.items() if not name.endswith(("/mean", "/var"))}
        averages = {name[:-5]: [jnp.array(tensor), jnp.array(self.tensors[name[:-5] + "/var"])]
                    for name, tensor in self.tensors.items() if name.endswith("/mean")}
        zeros = lambda: jax.tree.map(jnp.zeros_like, trained)
        self.state = (trained, averages, zeros(), zeros(), jnp.zeros((), jnp.int32))

    def reset(self):
        self.drop = False
        self.begin()

    def prepare(self, inputs, targets):
        if inputs.ndim == 4:
            inputs = inputs.astype("float32")
        return jax.device_put(inputs), jax.device_put(targets.astype("int32") if targets.dtype == "uint8" else targets)

    def step(self, batch):
        self.state, loss = self.jitted(self.state, self.drop, *batch)
        return loss

    def value(self, loss):
        return float(loss)


def main():
    options = peer.command_line()
    peer.serve(Jax(options), peer.Records(options.model, options.data), jax.__version__)


if __name__ == "__main__":
    main()
