#!/usr/bin/env python3
"""Writes tests/data/torch: the state_dict of modules as PyTorch saves them, and what they predict in float64.

For the values that are in the repository: torch 2.15.0, safetensors 0.8.0 (`python3 tests/interop/make_torch.py`).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).resolve().parent.parent / "data" / "torch"


def convnet():
    """More than ten modules, so that their names do not sort as words do."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.SELU(),
        nn.AlphaDropout(0.1),
        nn.Conv2d(4, 3, (2, 3), bias=False),
        nn.ELU(0.5),
        nn.MaxPool2d(2, stride=1, padding=1),
        nn.Flatten(),
        nn.BatchNorm1d(45, eps=1e-3),
        nn.Linear(45, 8),
        nn.SELU(),
        nn.LayerNorm(8, eps=1e-3),
        nn.Linear(8, 5),
        nn.Softmax(dim=1),
    )


class Encoder(nn.Module):
    """Names of its own, in another order than that of the network."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.trunk = nn.Linear(4, 6)

    def forward(self, x):
        return self.head(nn.functional.selu(self.trunk(x)))


def moved(module, x):
    """After a few steps in training mode, so that moving averages are not 0 and 1."""
    module.train()
    with torch.no_grad():
        for _ in range(5):
            module(x + torch.randn_like(x))
    return module.eval()


def write(name, module, x):
    state = {key: value.contiguous() for key, value in module.state_dict().items()}
    save_file(state, FOLDER / f"{name}.safetensors")
    with torch.no_grad():
        y = module.double()(x.double())
    # Channels last, as the network has them.
    x = x.movedim(1, -1).contiguous() if x.dim() == 4 else x
    save_file({"x": x, "y": y}, FOLDER / f"{name}.expected.safetensors")


def main():
    torch.manual_seed(7)
    FOLDER.mkdir(exist_ok=True)
    x = torch.randn(3, 2, 9, 8)
    write("convnet", moved(convnet(), x), x)
    x = torch.randn(3, 4)
    write("encoder", Encoder().eval(), x)
    # One network in each type.
    for dtype, name in [(torch.float16, "f16"), (torch.bfloat16, "bf16"), (torch.float64, "f64")]:
        module = nn.Sequential(nn.Linear(4, 6), nn.SELU(), nn.Linear(6, 3)).to(dtype)
        state = module.state_dict()
        save_file(state, FOLDER / f"{name}.safetensors")
        with torch.no_grad():
            save_file({"x": x, "y": module.double()(x.double())}, FOLDER / f"{name}.expected.safetensors")


if __name__ == "__main__":
    main()
