#!/usr/bin/env python3
"""Writes ONNX's own cases of the operators that a chain of layers can hold to tests/data/onnx/backend.

    python make_onnx_backend.py           # needs onnx, safetensors

Each is NAME.onnx; cases.safetensors has NAME/x and NAME/y. Inputs behind the first are weights, and become initializers.
Cases of more than 12 kB are left out, and those that tests/nn/onnx.rs would refuse by their types.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent.parent / "data" / "onnx" / "backend"
MAX_BYTES = 12_000
OPERATORS = """Add AveragePool BatchNormalization Clip Conv Div Dropout Elu Flatten Gelu Gemm GlobalAveragePool GlobalMaxPool
Identity LayerNormalization LeakyRelu MatMul MaxPool Mul PRelu Pad ReduceMean Relu Reshape Selu Sigmoid Sin Softmax Softplus
Squeeze Sub Swish Tanh Transpose Unsqueeze""".split()
# Their functions, written out.
EXPANDED = ["elu", "gelu", "leakyrelu", "prelu", "relu", "selu", "softplus", "swish", "layer_normalization_2d"]


def wanted(case):
    name = case.name.removeprefix("test_")
    if "expanded" in name:
        return any(name.startswith(prefix) for prefix in EXPANDED)
    return [node.op_type for node in case.model.graph.node][-1] in OPERATORS and len(case.model.graph.node) == 1


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*"):
        path.unlink()
    tensors, total, seen = {}, 0, set()
    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        if not wanted(case) or not case.data_sets or case.name in seen:
            continue
        seen.add(case.name)
        inputs, outputs = case.data_sets[0]
        graph = case.model.graph
        arrays = [value for value in [*inputs, outputs[0]]]
        if not all(isinstance(value, np.ndarray) for value in arrays):
            continue
        x, y = inputs[0], outputs[0]
        if x.dtype != np.float32 or y.dtype != np.float32 or x.nbytes + y.nbytes > MAX_BYTES:
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        graph = model.graph
        for info, value in zip(list(graph.input)[1:], inputs[1:]):
            graph.initializer.append(numpy_helper.from_array(value, info.name))
        del graph.input[1:]
        data = model.SerializeToString()
        if len(data) > MAX_BYTES:
            continue
        name = case.name.removeprefix("test_")
        (FOLDER / f"{name}.onnx").write_bytes(data)
        tensors[f"{name}/x"], tensors[f"{name}/y"] = np.ascontiguousarray(x), np.ascontiguousarray(y)
        total += len(data)
    save_file(tensors, FOLDER / "cases.safetensors", {"onnx": onnx.__version__})
    print(len(tensors) // 2, "cases,", total + (FOLDER / "cases.safetensors").stat().st_size, "bytes")


if __name__ == "__main__":
    sys.exit(main())
