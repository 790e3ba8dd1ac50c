#!/usr/bin/env python3
"""Compares this crate's ONNX files with ONNX Runtime, and lists how far each output is off.

    SELFNORM_INTEROP_OUT=/tmp/out cargo test --test nn -- files_for_other_libraries
    python check_onnx.py /tmp/out         # needs onnx, onnxruntime, safetensors
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

BOUND = 1e-5


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(*[f"{name} {version(name)}" for name in ["onnx", "onnxruntime", "numpy"]], sep=", ")
    paths = sorted(Path(sys.argv[1]).glob("*.onnx"))
    worst = 0
    for path in paths:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        values = load_file(path.with_suffix(".safetensors"))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {"input": values["x"]})
        assert y.shape == values["y"].shape, (path.stem, y.shape, values["y"].shape)
        scale = max(1, np.sqrt(np.mean(np.square(values["y"]))))
        error = np.abs(y - values["y"]).max() / scale
        kinds = [node.op_type for node in model.graph.node]
        opset = model.opset_import[0].version
        print(f"{path.stem}: {error:.1e}, opset {opset}, {len(kinds)} nodes, {kinds.count('Transpose')} transpositions")
        worst = max(worst, error)
    if not paths or not worst <= BOUND:
        sys.exit(f"{len(paths)} models, {worst:.1e} at worst, beyond {BOUND}")
    print(f"{len(paths)} models, {worst:.1e} at worst")


if __name__ == "__main__":
    main()
