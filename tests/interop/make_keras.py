"""Writes tests/data/keras: models that Keras saves, gzipped, and what it computes with them in float64.

    pip install keras jax h5py && python tests/interop/make_keras.py        # Keras 3
    pip install tensorflow tf_keras && python tests/interop/make_keras.py 2 # Keras 2

Weights are float32 in the files. The values that tests expect are those of the same model in float64, with the same
weights, after the same steps.
"""

import gzip
import json
import os
import sys
import tempfile

IS_2 = sys.argv[1:] == ["2"]
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import numpy as np  # noqa: E402

if IS_2:
    import tensorflow  # noqa: F401
    import tf_keras as keras
else:
    import keras

FOLDER = os.path.join(os.path.dirname(__file__), "..", "data", "keras")
L = keras.layers
random = np.random.default_rng(7)
expected = {"keras": keras.__version__, "numpy": np.__version__, "models": {}}


def randomize(model):
    """Weights as of a network that has been trained: none is 0 or 1."""
    values = []
    for weight in model.weights:
        value = np.asarray(weight)
        if np.issubdtype(value.dtype, np.integer):
            values.append(value)
        elif "variance" in weight.name:
            values.append(random.uniform(0.5, 2, value.shape).astype(value.dtype))
        else:
            scale = 0.7 / np.sqrt(max(1, np.prod(value.shape[:-1])))
            offset = 1.0 if "gamma" in weight.name else 0.0
            values.append((offset + random.normal(0, scale, value.shape)).astype(value.dtype))
    model.set_weights(values)


def in_float64(model):
    config = json.dumps(model.get_config())
    for name in ["mixed_float16", "mixed_bfloat16", "bfloat16", "float16", "float32"]:
        config = config.replace(f'"{name}"', '"float64"')
    before = keras.backend.floatx()
    keras.backend.set_floatx("float64")
    clone = type(model).from_config(json.loads(config))
    clone.build(model.input_shape) if not clone.built else None
    clone.set_weights([np.asarray(w).astype("float64") for w in model.weights])
    for layer in clone.layers:
        if isinstance(layer, L.Normalization) and layer.input_mean is None:
            layer.finalize_state()
    keras.backend.set_floatx(before)
    return clone


def numbers(values):
    return np.asarray(values).astype("float64").ravel().tolist()


def write(name, save):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        save(path)
        with open(path, "rb") as file, open(os.path.join(FOLDER, name + ".gz"), "wb") as packed:
            packed.write(gzip.compress(file.read(), mtime=0))


def predicts(name, model, save=None, rows=3):
    """The file, and predictions."""
    randomize(model)
    save = save or (lambda path: model.save(path))
    write(name, save)
    shape = (rows, *model.input_shape[1:])
    x = random.normal(0, 1, shape).astype("float32").astype("float64")
    y = np.asarray(in_float64(model)(x))
    expected["models"][name] = {"shape": shape, "x": numbers(x), "y": numbers(y)}


def state(optimizer):
    variables = optimizer.variables
    return variables() if callable(variables) else variables


def trains(names, model, optimizer, loss, classes, older=False):
    """The file of a model after some steps, and its weights after ten more in float64."""
    randomize(model)
    batches = []
    for _ in range(13):
        x = random.normal(0, 1, (4, *model.input_shape[1:])).astype("float32").astype("float64")
        if classes:
            y = np.eye(model.output_shape[-1])[random.integers(0, model.output_shape[-1], 4)]
        else:
            y = random.uniform(0, 1, (4, model.output_shape[-1])).astype("float32").astype("float64")
        batches.append((x, y))
    model.compile(optimizer(), loss)
    for x, y in batches[:3]:
        model.train_on_batch(x.astype("float32"), y.astype("float32"))
    for name in names:
        write(name, lambda path: model.save(path))
    # In float64, with the weights and the optimizer's variables of the file.
    twin = in_float64(model)
    keras.backend.set_floatx("float64")
    twin.compile(optimizer(), loss)
    if IS_2:
        twin.optimizer.build(twin.trainable_variables) if not older else twin.optimizer._create_all_weights(
            twin.trainable_variables
        )
    else:
        twin.optimizer.build(twin.trainable_variables)
    if older:
        twin.optimizer.set_weights([np.asarray(w) for w in model.optimizer.get_weights()])
    else:
        for to, value in zip(state(twin.optimizer), state(model.optimizer)):
            to.assign(np.asarray(value).astype(to.dtype if isinstance(to.dtype, str) else to.dtype.as_numpy_dtype))
    for x, y in batches[3:]:
        twin.train_on_batch(x, y)
    keras.backend.set_floatx("float32")
    for name in names:
        expected["models"][name] = {
            "shape": (4, *model.input_shape[1:]),
            "x": [numbers(x) for x, _ in batches[3:]],
            "y": [numbers(y) for _, y in batches[3:]],
            "weights": [numbers(w) for w in twin.weights],
        }


def mlp(inputs=5, outputs=3, last="softmax"):
    # A normalization of batches behind the layer would leave some of its biases a gradient of nothing but rounding
    # errors, which Adam makes large.
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            L.BatchNormalization(),
            L.Dense(6, activation="selu", kernel_initializer="lecun_normal"),
            L.Dense(outputs, activation=last),
        ]
    )


def convnet():
    layers = [
        keras.Input((9, 8, 2)),
        L.Conv2D(3, (3, 2), strides=(2, 1), padding="same", activation="selu"),
        L.SpatialDropout2D(0.1),
        L.BatchNormalization(momentum=0.9, epsilon=1e-2),
        L.ZeroPadding2D(((1, 0), (2, 1))),
        L.Conv2D(4, (3, 3), use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01)),
        L.LayerNormalization(),
        L.MaxPooling2D((2, 2), strides=(1, 2), padding="same"),
        L.AveragePooling2D((2, 2), strides=(1, 1)),
        L.Dropout(0.2, noise_shape=(None, 1, 1, 4)),
        L.Activation("elu"),
        L.Conv2D(3, 1),
        L.Reshape((-1, 3)),
        L.Dense(2, activation="tanh"),
        L.Reshape((3, -1, 2)),
        L.GlobalAveragePooling2D(),
        L.Flatten(),
        L.Dense(3, activation="linear"),
    ]
    return keras.Sequential(layers)


def functional():
    i = keras.Input((4, 3), name="picture")
    x = L.Dense(3, activation=L.LeakyReLU(0.1), name="dense")(i)
    x = L.Flatten()(x)
    inner = keras.Sequential(
        [keras.Input((12,)), L.Dense(5, activation="gelu", name="dense"), L.BatchNormalization()], name="inner"
    )
    x = inner(x)
    x = L.AlphaDropout(0.1)(x)
    o = L.Dense(2, activation="sigmoid", name="output")(x)
    return keras.Model(i, o)


def activations():
    names = ["linear", "selu", "elu", "relu", "sigmoid", "tanh", "gelu", "softplus", "softmax"]
    names += ["swish"] if IS_2 else ["silu", "leaky_relu"]
    layers = [keras.Input((4,))]
    for name in names:
        layers += [L.Dense(4), L.Activation(name), L.Dense(4, activation=name)]
    layers += [L.Dense(4), L.ReLU(), L.Dense(4), L.ELU(0.5), L.Dense(4), L.LeakyReLU(0.3)]
    layers += [L.Dense(4, activation=L.ELU(0.7)), L.Dense(3), L.Softmax()]
    return keras.Sequential(layers)


def seeds():
    """Small files for the fuzzer: of HDF5's two kinds, the newer takes less."""
    import h5py

    folder = os.path.join(os.path.dirname(__file__), "..", "..", "fuzz", "seeds", "keras")
    os.makedirs(folder, exist_ok=True)

    def put(name, config, write):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "x.h5")
            write(path)
            with open(path, "rb") as file, open(os.path.join(folder, name), "wb") as seed:
                seed.write(len(config).to_bytes(2, "little") + config + file.read())

    def weights(file):
        file["layers/dense/vars/0"] = np.ones((2, 3), "float32")
        file["layers/dense/vars/1"] = np.zeros(3, "float32")
        file["optimizer/vars/0"] = np.int32(1)

    def newer(path):
        with h5py.File(path, "w", libver="latest") as file:
            weights(file)

    def older(path):
        with h5py.File(path, "w") as file:
            file["dense/kernel"] = np.ones((2, 3), "float32")
            file["dense/bias"] = np.zeros(3, "float32")
            file.attrs["layer_names"] = np.array([b"dense"])
            file["dense"].attrs["weight_names"] = np.array([b"kernel", b"bias"])

    def legacy(path):
        with h5py.File(path, "w", libver="latest") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
            file["model_weights/dense/kernel"] = np.ones((2, 3), "float32")
            file["model_weights"].attrs["layer_names"] = [b"dense"]
            file["model_weights/dense"].attrs["weight_names"] = [b"kernel"]

    dense = {"name": "dense", "units": 3, "activation": "selu", "use_bias": True}
    dense |= {"kernel_initializer": {"class_name": "LecunNormal", "config": {"seed": None}}}
    dense |= {"bias_initializer": {"class_name": "Zeros", "config": {}}}
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "input"}},
        {"class_name": "Dense", "config": dense},
        {"class_name": "AlphaDropout", "config": {"name": "drop", "rate": 0.1}},
        {"class_name": "Activation", "config": {"name": "last", "activation": "softmax"}},
    ]
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 0.5, "momentum": 0.0}}
    model = {"class_name": "Sequential", "config": {"name": "small", "layers": layers}}
    model |= {"compile_config": {"optimizer": optimizer, "loss": "mse"}}
    put("sequential", json.dumps(model).encode(), newer)
    put("older", b"", older)
    names = [layer["config"]["name"] for layer in layers]
    for layer, before in zip(layers[1:], names):
        layer |= {"name": layer["config"]["name"], "inbound_nodes": [[[before, 0, 0, {}]]]}
    config = {"class_name": "Functional", "config": {"layers": layers, "output_layers": [["last", 0, 0]]}}
    put("functional", json.dumps(config).encode(), newer)
    dense["use_bias"] = False
    put("legacy", b"", legacy)


def hostile():
    """Weights of a small network that are elsewhere, or more than they seem."""
    import h5py

    def weights(file):
        file["layers/dense/vars/0"] = np.ones((2, 3), "float32")
        return file["layers/dense/vars"]

    def soft_link(file):
        weights(file)["1"] = h5py.SoftLink("/layers/dense/vars/0")

    def external_link(file):
        weights(file)["1"] = h5py.ExternalLink("/etc/passwd", "/0")

    def external_values(file):
        weights(file).create_dataset("1", (3,), "float32", external=[("/etc/passwd", 0, 12)])

    def virtual_values(file):
        layout = h5py.VirtualLayout((3,), "float32")
        layout[:] = h5py.VirtualSource("other.h5", "0", (3,))
        weights(file).create_virtual_dataset("1", layout)

    def chunks(file):
        weights(file).create_dataset("1", data=np.zeros(3, "float32"), chunks=(3,))

    def compressed(file):
        weights(file).create_dataset("1", data=np.zeros(3, "float32"), compression="gzip")

    def never_written(file):
        weights(file).create_dataset("1", (3,), "float32")

    def cycle(file):
        within = weights(file)
        within["1"] = file["layers"]

    def deep(file):
        weights(file)["/".join("x" * 40)] = np.zeros(3, "float32")

    def shared(file):
        big = file.create_dataset("big", data=np.zeros(4096, "float32"))
        for number in range(8):
            weights_of = file.require_group(f"layers/dense_{number}/vars")
            weights_of["0"] = big

    def big_endian(file):
        weights(file)["1"] = np.zeros(3, ">f4")

    def integers(file):
        weights(file)["1"] = np.zeros(3, "int32")

    def many(file):
        weights(file)
        for number in range(20):
            file[f"layers/dense/{number}"] = np.zeros(1, "float32")

    cases = [soft_link, external_link, external_values, virtual_values, chunks, compressed, never_written, cycle]
    for case in [*cases, deep, shared, big_endian, integers, many]:
        libver = "latest" if case is many else "earliest"

        def save(path):
            with h5py.File(path, "w", libver=libver) as file:
                case(file)

        write(f"hostile_{case.__name__}.h5", save)


def in_pieces(model, path):
    """As of a model whose names take more than an attribute holds."""
    import h5py

    model.save(path)
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        for group, key in [(weights, "layer_names"), (weights[model.layers[1].name], "weight_names")]:
            names = group.attrs[key]
            del group.attrs[key]
            for piece, name in enumerate(names):
                group.attrs[f"{key}{piece}"] = [name]


def schedule(name, *arguments, **options):
    return getattr(keras.optimizers.schedules, name)(*arguments, **options)


O = keras.optimizers
if IS_2:
    predicts("keras2_convnet.h5", convnet())
    predicts("keras2_functional.h5", functional())
    predicts("keras2_activations.keras", activations())
    model = mlp()
    predicts("keras2_mlp_by_names.h5", model, lambda path: model.save_weights(path, save_format="h5"))
    model = mlp()
    predicts("keras2_mlp.weights.h5", model, lambda path: model.save_weights(path))
    trains(["keras2_adam.h5"], mlp(), lambda: O.Adam(0.01), "categorical_crossentropy", True)
    trains(["keras2_older_adam.h5"], mlp(), lambda: O.legacy.Adam(0.01), "categorical_crossentropy", True, older=True)
    trains(["keras2_sgd.h5"], mlp(last="linear"), lambda: O.SGD(0.05), "mse", False)
else:
    predicts("convnet.keras", convnet())
    predicts("functional.keras", functional())
    predicts("activations.keras", activations())
    mean, variance = [0.5, -0.25, 1.5, 0.125, 2.0], [1.0, 2.0, 0.5, 4.0, 0.25]
    given = L.Normalization(mean=mean, variance=variance)
    adapted = L.Normalization()
    predicts("normalization.keras", keras.Sequential([keras.Input((5,)), adapted, given, L.Dense(2)]))
    for policy in ["mixed_float16", "bfloat16", "float16", "float64"]:
        keras.config.set_dtype_policy(policy)
        keras.backend.set_floatx("float64" if policy == "float64" else "float32")
        model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="selu"), L.Dense(2)])
        predicts(f"{policy}.keras", model)
    keras.config.set_dtype_policy("float32")
    keras.backend.set_floatx("float32")
    model = mlp()
    predicts("mlp.weights.h5", model, lambda path: model.save_weights(path))
    predicts("in_pieces.h5", model, lambda path: in_pieces(model, path))
    entropy = "categorical_crossentropy"
    trains(["adam.keras", "adam.h5"], mlp(), lambda: O.Adam(0.01), entropy, True)
    logits = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    cosine = schedule("CosineDecay", 0.01, 20, alpha=0.1, warmup_target=0.02, warmup_steps=5)
    adamw = lambda: O.AdamW(cosine, weight_decay=0.05, clipnorm=0.5)  # noqa: E731
    trains(["adamw.keras"], mlp(last="linear"), adamw, logits, True)
    trains(["sgd.keras"], mlp(last="linear"), lambda: O.SGD(0.05, global_clipnorm=1.0), "mse", False)
    steps = schedule("PiecewiseConstantDecay", [4, 8], [0.05, 0.02, 0.01])
    momentum = lambda: O.SGD(steps, momentum=0.9, nesterov=True)  # noqa: E731
    trains(["momentum.keras"], mlp(outputs=1, last="sigmoid"), momentum, "binary_crossentropy", False)
    decay = schedule("ExponentialDecay", 0.05, 3, 0.9, staircase=True)
    huber = keras.losses.Huber()  # whose delta Keras does not save
    trains(["exponential.keras"], mlp(last="linear"), lambda: O.SGD(decay, momentum=0.5, clipvalue=0.1), huber, False)
    seeds()
    hostile()
    compiled = mlp()
    compiled.compile(O.AdamW(0.02, weight_decay=0.05), "mse")
    write("compiled.keras", compiled.save)
    compiled.compile(O.AdamW(0.02), "mse", loss_weights=5.0)
    write("weighted_loss.keras", compiled.save)
    trains(["rmsprop.keras"], mlp(last="linear"), lambda: O.RMSprop(0.01), "mse", False)

name = "keras2.json" if IS_2 else "keras3.json"
with open(os.path.join(FOLDER, name), "w") as file:
    json.dump(expected, file, indent=None, separators=(",", ":"))
    file.write("\n")
