"""Keras on TensorFlow, and PyTorch, on the CPU, for the table of src/main.rs, which runs this script.

    peers.py FRAMEWORK                what it is: keras or torch, and the version
    peers.py FRAMEWORK ROW FOLDER     a row of the table, as src/process.rs says
"""

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

LARGE = 1 << 24
CHAINED = 100
RATE = 0.1
FAN_IN = 256
M, K, N = 256, 4096, 256
BATCH, SIDE, FILTERS, POSITIONS, UNITS, CLASSES = 250, 28, 32, 26 * 26, 256, 10
NETWORK_RATE = 0.25


def keras_rows(arrays):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    def tensors(*shapes):
        return [tf.constant(array.reshape(shape)) for array, shape in zip(arrays, shapes)]

    def selu():
        (x,) = tensors([-1])
        return lambda: tf.nn.selu(x)

    def selu_backward():
        x, dy = tensors([-1], [-1])
        y = tf.nn.selu(x)
        return lambda: tf.raw_ops.SeluGrad(gradients=dy, outputs=y)

    def elu():
        (x,) = tensors([-1])
        return lambda: tf.nn.elu(x)

    def elu_backward():
        x, dy = tensors([-1], [-1])
        y = tf.nn.elu(x)
        return lambda: tf.raw_ops.EluGrad(gradients=dy, outputs=y)

    def alpha_dropout():
        (x,) = tensors([-1])
        layer = keras.layers.AlphaDropout(RATE, seed=7)
        return lambda: layer(x, training=True)

    def lecun_normal():
        initializer = keras.initializers.LecunNormal(seed=keras.random.SeedGenerator(7))
        return lambda: initializer((FAN_IN, LARGE // FAN_IN))

    def product():
        x, w = tensors([M, K], [K, N])
        return lambda: tf.linalg.matmul(x, w)

    def chain():
        (x,) = tensors([-1])

        def run():
            y = x
            for _ in range(CHAINED):
                y = tf.nn.selu(y)
            return y.numpy()

        return run

    def small():
        return lambda: tf.nn.selu(tf.constant(arrays[0])).numpy()

    def step():
        x, y, *kernels = tensors(
            [BATCH, SIDE, SIDE, 1],
            [BATCH, CLASSES],
            [3, 3, 1, FILTERS],
            [POSITIONS * FILTERS, UNITS],
            [UNITS, CLASSES],
        )
        layers = keras.layers
        weighted = [
            layers.Conv2D(FILTERS, 3, activation="selu"),
            layers.Dense(UNITS, activation="selu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
        model = keras.Sequential(
            [
                layers.Input([SIDE, SIDE, 1]),
                weighted[0],
                layers.AlphaDropout(NETWORK_RATE),
                layers.Flatten(),
                *weighted[1:],
            ]
        )
        for layer, kernel in zip(weighted, kernels):
            layer.kernel.assign(kernel)
        model.compile(keras.optimizers.Adam(), "categorical_crossentropy")

        def run():
            # Its metrics are means since the last reset.
            model.reset_metrics()
            return model.train_on_batch(x, y)

        return run

    return locals()


def torch_rows(arrays):
    import torch
    from torch.nn import functional as F

    def tensors(*shapes):
        return [torch.tensor(array).reshape(shape) for array, shape in zip(arrays, shapes)]

    def forward(function):
        (x,) = tensors([-1])
        return lambda: function(x)

    def backward(function):
        x, dy = tensors([-1], [-1])
        x.requires_grad_()
        y = function(x)
        return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)[0]

    def selu():
        return forward(F.selu)

    def selu_backward():
        return backward(F.selu)

    def elu():
        return forward(F.elu)

    def elu_backward():
        return backward(F.elu)

    def alpha_dropout():
        return forward(lambda x: F.alpha_dropout(x, RATE, training=True))

    def lecun_normal():
        deviation = FAN_IN**-0.5 / 0.8796256610342398
        w = torch.empty(FAN_IN, LARGE // FAN_IN)
        bounds = (-2 * deviation, 2 * deviation)
        return lambda: torch.nn.init.trunc_normal_(w, 0.0, deviation, *bounds)

    def product():
        x, w = tensors([M, K], [K, N])
        return lambda: x @ w

    def chain():
        (x,) = tensors([-1])

        def run():
            y = x
            for _ in range(CHAINED):
                y = F.selu(y)
            return y.numpy()

        return run

    def small():
        return lambda: F.selu(torch.tensor(arrays[0])).numpy()

    def step():
        x, y, convolution, dense, last = tensors(
            [BATCH, 1, SIDE, SIDE],
            [BATCH, CLASSES],
            [3, 3, 1, FILTERS],
            [POSITIONS, FILTERS, UNITS],
            [UNITS, CLASSES],
        )
        kernels = [
            convolution.permute(3, 2, 0, 1),
            dense.permute(2, 1, 0).reshape(UNITS, FILTERS * POSITIONS),
            last.T,
        ]
        nn = torch.nn
        weighted = [
            nn.Conv2d(1, FILTERS, 3),
            nn.Linear(FILTERS * POSITIONS, UNITS),
            nn.Linear(UNITS, CLASSES),
        ]
        with torch.no_grad():
            for layer, kernel in zip(weighted, kernels):
                layer.weight.copy_(kernel)
                layer.bias.zero_()
        convolution, dense, last = weighted
        model = nn.Sequential(
            convolution,
            nn.SELU(),
            nn.AlphaDropout(NETWORK_RATE),
            nn.Flatten(),
            dense,
            nn.SELU(),
            last,
        )
        adam = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
        classes = y.argmax(1)

        def run():
            adam.zero_grad()
            loss = F.cross_entropy(model(x), classes)
            loss.backward()
            adam.step()
            return loss.item()

        return run

    return locals()


def main():
    framework, *rest = sys.argv[1:]
    if not rest:
        versions = {
            "keras": f"Keras {version('keras')}, TensorFlow {version('tensorflow-cpu')}",
            "torch": f"PyTorch {version('torch')}",
        }
        print(versions[framework])
        return

    import numpy as np

    row, folder = rest
    files = sorted(Path(folder).glob("[0-9].f32"))
    rows = {"keras": keras_rows, "torch": torch_rows}[framework]
    run = rows([np.fromfile(file, np.float32) for file in files])[row]()
    for line in sys.stdin:
        question, argument = line.split(maxsplit=1)
        if question == "output":
            np.asarray(run(), np.float32).tofile(argument.strip())
            print("done", flush=True)
        else:
            repeats = int(argument)
            start = time.perf_counter_ns()
            for _ in range(repeats):
                run()
            print((time.perf_counter_ns() - start) // repeats, flush=True)


main()
