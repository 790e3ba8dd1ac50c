"""PyTorch on the CPU, for benches/small.rs, which runs this script: a line with what to do, and on how many threads,
asks for a time in nanoseconds."""

import sys
import time

import torch
from torch.nn import functional as F

INPUTS, LAYERS, UNITS, CLASSES, BATCH, STEPS, PREDICTIONS = map(int, sys.argv[1:])

nn = torch.nn
layers = []
for inputs in [INPUTS, *[UNITS] * (LAYERS - 1)]:
    layers += [nn.Linear(inputs, UNITS), nn.SELU()]
    deviation = inputs**-0.5 / 0.8796256610342398
    nn.init.trunc_normal_(layers[-2].weight, 0.0, deviation, -2 * deviation, 2 * deviation)
    nn.init.zeros_(layers[-2].bias)
model = nn.Sequential(*layers, nn.Linear(UNITS, CLASSES))
adam = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
data = 4 * torch.rand(STEPS * BATCH, INPUTS) - 2
labels = torch.randint(0, CLASSES, [STEPS * BATCH])
row = data[0].tolist()


def step():
    order = torch.randperm(len(data))
    loss_sum = 0.0
    for batch in order.split(BATCH):
        adam.zero_grad()
        loss = F.cross_entropy(model(data[batch]), labels[batch])
        loss.backward()
        adam.step()
        loss_sum += loss.item()
    return STEPS


@torch.inference_mode()
def predict():
    for _ in range(PREDICTIONS):
        F.softmax(model(torch.tensor([row])), 1).numpy()
    return PREDICTIONS


print(f"PyTorch {torch.__version__}", flush=True)
for line in sys.stdin:
    question, threads = line.split()
    torch.set_num_threads(int(threads))
    start = time.perf_counter_ns()
    count = {"step": step, "row": predict}[question]()
    print((time.perf_counter_ns() - start) // count, flush=True)
