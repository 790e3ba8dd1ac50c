#!/usr/bin/env python3
"""Writes the models of tests/data/onnx, as other libraries export them, with inputs and float64 outputs.

    python make_onnx.py torch sklearn     # needs torch, onnxscript, scikit-learn, skl2onnx
    python make_onnx.py keras             # needs keras and torch: model.export(format="onnx")
    python make_onnx.py tf2onnx           # needs tensorflow, keras and tf2onnx

Each model is NAME.onnx, with NAME.safetensors beside it: x is float32, y is what the library computes of it in
float64. versions.json records who wrote what.
"""

import json
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "data" / "onnx"


def store(name, x, y, outputs=1):
    from safetensors.numpy import save_file

    y = np.ascontiguousarray(y, np.float64)
    save_file({"x": np.ascontiguousarray(x, np.float32), "y": y}, FOLDER / f"{name}.safetensors")
    import onnx

    model = onnx.load(FOLDER / f"{name}.onnx")
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    onnx.save(model, FOLDER / f"{name}.onnx")
    print(name, (FOLDER / f"{name}.onnx").stat().st_size, "bytes")


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def torch_models():
    import torch
    from torch import nn

    class Sine(nn.Module):
        def forward(self, x):
            return torch.sin(30 * x)

    class Means(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    # Statistics that are not 0 and 1.
    def settle(module):
        generator = torch.Generator().manual_seed(2)
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean.normal_(generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
                part.weight.data.uniform_(0.5, 2, generator=generator)
                part.bias.data.normal_(generator=generator)

    models = {
        "selu": (
            [4],
            lambda: nn.Sequential(
                nn.Linear(4, 8), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(8, 8), nn.SELU(),
                nn.Dropout(0.1), nn.Linear(8, 3), nn.Softmax(-1),
            ),
        ),
        "cnn": (
            [2, 9, 8],
            lambda: nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), nn.SELU(), nn.MaxPool2d(2),
                nn.Conv2d(4, 6, (3, 2), stride=(1, 2), bias=False), nn.BatchNorm2d(6), nn.ReLU(),
                nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2),
            ),
        ),
        "flattened": (
            [2, 6, 5],
            lambda: nn.Sequential(
                nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ELU(0.5), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
                nn.Flatten(), nn.LeakyReLU(0.05), nn.LayerNorm(36), nn.Linear(36, 3), nn.Sigmoid(),
            ),
        ),
        "means": (
            [1, 6, 6],
            lambda: nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
            ),
        ),
        "spatial_means": (
            [1, 6, 6],
            lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.SiLU(), Means(), nn.Linear(4, 3)),
        ),
        "image": ([2, 5, 6], lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.Softplus())),
        "activations": (
            [4],
            lambda: nn.Sequential(
                nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 5), nn.GELU("tanh"),
                nn.LayerNorm(5, 1e-4), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3),
            ),
        ),
        "sine": ([2], lambda: nn.Sequential(nn.Linear(2, 6), Sine(), nn.Linear(6, 6), Sine(), nn.Linear(6, 1))),
        "rank3": ([3, 4], lambda: nn.Sequential(nn.Linear(4, 5), nn.SELU(), nn.LayerNorm(5), nn.Linear(5, 2))),
        "unflattened": (
            [16],
            lambda: nn.Sequential(nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 3, 3), nn.SELU(), nn.Flatten(), nn.Linear(12, 2)),
        ),
    }
    for name, (shape, build) in models.items():
        torch.manual_seed(1)
        module = build()
        settle(module)
        module.eval()
        x = normal(3, 3, *shape)
        with torch.no_grad():
            y = build().double()
            y.load_state_dict(module.state_dict())
            y = y.eval()(torch.from_numpy(x).double()).numpy()
        for dynamo in [False, True]:
            full = f"torch_{'dynamo' if dynamo else 'script'}_{name}"
            path = FOLDER / f"{full}.onnx"
            inputs = (torch.from_numpy(x),)
            batch = {"dynamic_shapes": [{0: torch.export.Dim("batch")}]} if dynamo else {
                "dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}}
            torch.onnx.export(
                module, inputs, path, dynamo=dynamo, input_names=["x"], output_names=["y"], verbose=False,
                **({"external_data": False} if dynamo else {}), **batch,
            )
            store(full, x, y)
        if name in ["activations", "flattened", "rank3"]:
            # GELU and layer normalization, written out.
            path = FOLDER / f"torch_opset14_{name}.onnx"
            torch.onnx.export(
                module, inputs, path, dynamo=False, opset_version=14, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
            )
            store(f"torch_opset14_{name}", x, y)
        if name == "cnn":
            # A batch whose size is fixed, and an old opset.
            path = FOLDER / "torch_opset9_cnn.onnx"
            torch.onnx.export(module, inputs, path, dynamo=False, opset_version=9, input_names=["x"])
            store("torch_opset9_cnn", x, y)


def sklearn_models():
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    x = (normal(1, 120, 4) * [1, 20, 0.1, 3] + [0, 100, 5, -2]).astype(np.float32)
    score = x[:, 0] + (x[:, 1] - 100) / 20 - 10 * (x[:, 2] - 5)
    binary, classes = score > 0, np.digitize(score, [-1, 1])
    several = np.stack([score, x[:, 3]], 1)
    options = {"hidden_layer_sizes": (6, 5), "random_state": 1, "max_iter": 60}

    def classifier(**more):
        return MLPClassifier(**options, **more)

    models = {
        "binary": (classifier(activation="tanh"), binary),
        "multiclass": (classifier(), classes),
        "regressor": (MLPRegressor(**options), score),
        "regressor2": (MLPRegressor(**options, activation="logistic"), several),
        "scaled_binary": (make_pipeline(StandardScaler(), classifier()), binary),
        "scaled_multiclass": (make_pipeline(StandardScaler(), classifier(activation="identity")), classes),
        "scaled_regressor": (make_pipeline(StandardScaler(), MLPRegressor(**options)), score),
        "minmax": (make_pipeline(MinMaxScaler(), classifier(activation="logistic")), classes),
    }
    for name, (model, targets) in models.items():
        model.fit(x.astype(np.float64), targets)
        predict = getattr(model, "predict_proba", model.predict)
        y = predict(x[:7].astype(np.float64))
        full = f"sklearn_{name}"
        for suffix, zipmap in [("", True)] + ([("_plain", False)] if name in ["binary", "multiclass"] else []):
            options_ = {id(model): {"zipmap": zipmap}} if hasattr(model, "predict_proba") else None
            written = to_onnx(model, x[:1], options=options_, target_opset={"": 18, "ai.onnx.ml": 3})
            (FOLDER / f"{full}{suffix}.onnx").write_bytes(written.SerializeToString())
            store(full + suffix, x[:7], y.reshape(7, -1))


def keras_networks(keras):
    layers = keras.layers

    # TensorFlow writes the other with an operator that ONNX has not.
    def gelu(x):
        return keras.activations.gelu(x, approximate=keras.backend.backend() == "tensorflow")

    def network(shape, *parts):
        return lambda: keras.Sequential([keras.Input(shape), *[part() for part in parts]])

    dense, conv = layers.Dense, layers.Conv2D
    return {
        "selu": network(
            (4,), lambda: dense(8, "selu", kernel_initializer="lecun_normal"), lambda: layers.AlphaDropout(0.1),
            lambda: dense(8, "selu"), lambda: layers.Dropout(0.1), lambda: dense(3, "softmax"),
        ),
        "cnn": network(
            (9, 8, 2), lambda: conv(4, 3, padding="same", activation="selu"), lambda: layers.MaxPooling2D(2),
            lambda: conv(6, (3, 2), strides=2, padding="same"), lambda: layers.BatchNormalization(),
            lambda: layers.ReLU(), lambda: layers.AveragePooling2D(2), layers.Flatten, lambda: dense(5),
            layers.BatchNormalization, lambda: dense(2, "tanh"),
        ),
        "means": network(
            (6, 6, 1), lambda: conv(4, 3, activation=gelu), layers.GlobalAveragePooling2D, lambda: dense(3, "sigmoid")
        ),
        "image": network((5, 6, 2), lambda: conv(3, 2, activation="softplus"), lambda: dense(2, "elu")),
        "activations": network(
            (4,), lambda: dense(5, "silu"), lambda: dense(6, gelu), lambda: layers.LayerNormalization(),
            lambda: dense(4, "softplus"), lambda: dense(5, "elu"), lambda: layers.LeakyReLU(0.1), lambda: dense(3),
        ),
        "rank3": network((3, 4), lambda: dense(5, "selu"), layers.LayerNormalization, lambda: dense(2)),
        "reshaped": network((16,), lambda: layers.Reshape((4, 4, 1)), lambda: conv(3, 3), layers.Flatten, lambda: dense(2)),
        "normalization": network((4,), lambda: layers.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 0.5, 2]), lambda: dense(3)),
        "normalized_image": network((5, 5, 2), layers.BatchNormalization, lambda: conv(3, 3), layers.LayerNormalization, layers.Flatten),
    }


def keras_models(prefix, export):
    import keras

    for name, build in keras_networks(keras).items():
        # TensorFlow's have moments as inputs.
        if (prefix, name) == ("tf2onnx", "normalization"):
            continue
        keras.utils.set_random_seed(1)
        keras.config.set_floatx("float32")
        model = build()
        random = np.random.default_rng(2)
        weights = [random.uniform(0.5, 2, w.shape) if w.ndim == 1 else w for w in model.get_weights()]
        if name != "normalization":
            model.set_weights(weights)
        x = normal(3, 3, *model.input_shape[1:])
        weights = model.get_weights()
        keras.config.set_floatx("float64")
        exact = build()
        exact.set_weights(weights)
        y = keras.ops.convert_to_numpy(exact(x.astype(np.float64), training=False))
        keras.config.set_floatx("float32")
        full = f"{prefix}_{name}"
        try:
            export(model, FOLDER / f"{full}.onnx", x)
        except Exception as problem:
            print(full, "is not exported:", str(problem).splitlines()[0][:200])
            continue
        store(full, x, y)


def keras_export():
    os.environ["KERAS_BACKEND"] = "torch"

    def export(model, path, x):
        model(x)
        model.export(str(path), format="onnx", verbose=False)

    keras_models("keras_torch", export)


def tf2onnx_export():
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf
    import tf2onnx

    def export(model, path, x):
        spec = [tf.TensorSpec([None, *x.shape[1:]], tf.float32, name="x")]
        function = tf.function(lambda x: model(x, training=False), input_signature=spec)
        tf2onnx.convert.from_function(function, spec, opset=15, output_path=str(path))

    keras_models("tf2onnx", export)


ALL = {"torch": torch_models, "sklearn": sklearn_models, "keras": keras_export, "tf2onnx": tf2onnx_export}
PACKAGES = ["torch", "onnx", "onnxscript", "scikit-learn", "skl2onnx", "keras", "tensorflow", "tf2onnx", "numpy"]


def main():
    warnings.filterwarnings("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = sys.argv[1:]
    if not names or not set(names) <= set(ALL):
        sys.exit(__doc__)
    path = FOLDER / "versions.json"
    versions = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        ALL[name]()
        found = {}
        for package in PACKAGES:
            try:
                found[package] = version(package)
            except ImportError:
                continue
        versions[name] = found
    path.write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
