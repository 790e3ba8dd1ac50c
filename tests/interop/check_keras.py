"""Loads into Keras what this crate writes, and compares: predictions, and ten more steps of training.

    pip install keras jax h5py && python tests/interop/check_keras.py

Prints the largest difference of each file, and fails above the bounds of the documentation.
"""

import json
import os
import subprocess
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import numpy as np  # noqa: E402

REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
command = "cargo test --quiet --test nn -- keras::what_is_written_is_left_for_keras_to_check"


def difference(found, expected):
    expected = np.asarray(expected, "float64").ravel()
    scale = max(1, np.sqrt(np.mean(expected**2)))
    return np.max(np.abs(np.asarray(found, "float64").ravel() - expected)) / scale


failed = False
with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "SELFNORM_INTEROP_OUT": folder}
    subprocess.run(command.split(), cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "expected.json")) as file:
        expected = json.load(file)
    print(f"Keras {keras.__version__}")
    for name, entry in expected.items():
        path = os.path.join(folder, name + ".keras")
        model = keras.models.load_model(path)
        x = np.asarray(entry["x"], "float32").reshape(entry["shape"])
        found = difference(model.predict(x, verbose=0), entry["y"])
        failed |= not found < 1e-6
        line = f"{name}: predictions {found:.1e}"
        if "batches" in entry:
            assert int(model.optimizer.iterations) == 3, name
            for batch in entry["batches"]:
                x = np.asarray(batch, "float32").reshape(4, *model.input_shape[1:])
                y = np.zeros((4, model.output_shape[-1]), "float32")
                y[:, 0] = 1
                model.train_on_batch(x, y)
            found = max(difference(w, e) for w, e in zip(model.weights, entry["weights"], strict=True))
            failed |= not found < 1e-5
            line += f", weights after ten more steps {found:.1e}"
        # And back: Keras writes what it has read.
        model.save(path)
        keras.models.load_model(path)
        print(line)
sys.exit(failed)
