#!/usr/bin/env python3
"""Loads what this crate has written for PyTorch, and compares predictions.

    SELFNORM_INTEROP_OUT=/tmp/out cargo test --test nn torch:: && python3 tests/interop/check_torch.py /tmp/out
"""

import sys
from pathlib import Path

import torch
from make_torch import convnet
from safetensors.torch import load_file

BOUND = 1e-5


def main():
    folder = Path(sys.argv[1])
    module = convnet()
    module.load_state_dict(load_file(folder / "convnet.safetensors"))
    expected = load_file(folder / "convnet.expected.safetensors")
    with torch.no_grad():
        y = module.eval().double()(expected["x"].movedim(-1, 1).double())
    difference = (y - expected["y"]).abs().max().item()
    print(f"convnet, torch {torch.__version__}: largest difference {difference:.2g}")
    assert difference <= BOUND


if __name__ == "__main__":
    main()
