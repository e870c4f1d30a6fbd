"""Record learning curves for `tests.benchmarks.rungs` to replay.

    python -m tests.benchmarks.curves.record digits.json --data digits
    python -m tests.benchmarks.curves.record cifar10.json --data path/to/2500/training/images --limit 12

Of cnn_fc: its starts, random proposals, and some starts for two and four times the epochs in three ways. Each
is trained once in this process, on one thread; what is in the file already is not trained again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from optuna.trial import FixedTrial
from torch import nn

from nas.datasets import ImageData, open_data
from nas.network.layers import layer_table
from nas.space import Proposal, Training
from nas.space.load import load_space
from nas.testing.spaces import proposals
from nas.training.epoch import Diverged
from nas.training.images import Images
from nas.training.loop import Trainer

LONGER = (2, 4)
"""Times the epochs of a trial."""

AVERAGED = {"schedule": "constant", "warmup": 0.0, "ema_decay": 0.95}
"""Training that can go on from any epoch: nothing is annealed, the weights are averaged."""


class Curves:
    """A file of curves, by kind."""

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        self._file = file
        kinds = {"known_good": [], "random": [], "longer": []}
        self.content: dict[str, Any] = json.loads(file.read_text()) if file.exists() else about | kinds

    def add(self, kind: str, name: str, epochs: int, train: Iterator[float]) -> None:
        """Train until `train`, which gives accuracies, ends or diverges; unless that has been done."""
        if any(row["name"] == name for row in self.content[kind]):
            return
        accuracies, seconds = list[float](), list[float]()
        began = time.process_time()
        try:
            for accuracy in train:
                accuracies.append(round(accuracy, 4))
                seconds.append(round(time.process_time() - began, 3))
                began = time.process_time()
        except Diverged:
            accuracies += [0.0] * (epochs - len(accuracies))
            seconds += seconds[-1:] * (epochs - len(seconds))
        self.content[kind].append({"name": name, "acc": accuracies, "cpu": round(median(seconds), 3)})
        print(kind, name, accuracies[-1], f"{sum(seconds):.1f} s", flush=True)
        rows = {
            key: value for key, value in self.content.items() if key in ("known_good", "random", "longer")
        }
        head = json.dumps({key: value for key, value in self.content.items() if key not in rows})
        lists = [
            f'"{key}": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "\n]"
            for key, value in rows.items()
        ]
        self._file.write_text(head[:-1] + ",\n" + ",\n".join(lists) + "}\n")


def train(
    model: nn.Module, images: Images, training: Training, epochs: int, seed: int = 0
) -> Iterator[float]:
    """Accuracies after each epoch."""
    for epoch in Trainer(model, images, training, epochs=epochs, precision="fp32", seed=seed).run():
        yield epoch.val_accuracy


def in_cycles(model: nn.Module, images: Images, training: Training, *epochs: int) -> Iterator[float]:
    """Annealed to the end of each cycle; the next one goes on with the weights of the one before."""
    for seed, each in enumerate(epochs):
        yield from train(model, images, training, each, seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", default="digits", help="as for nas search, or a folder of decoded images")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--random", type=int, default=40)
    parser.add_argument("--longer", type=int, nargs="+", default=[0, 2], help="of these starts")
    parser.add_argument("--limit", type=float, default=12, help="of random ones, in million multiply-adds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    decoded = Path(arguments.data, "data.json").exists() or Path(arguments.data).name.count("-") > 1
    data = ImageData.open(Path(arguments.data)) if decoded else open_data(arguments.data)
    images, info, epochs = Images.load(data, torch.device("cpu")), data.info, arguments.epochs
    curves = Curves(
        arguments.file,
        {
            "about": f"cnn_fc on {info.name}: {info.num_train:,} training images, {epochs} epochs",
            "num_val": info.num_val,
        },
    )
    space = load_space("cnn_fc")

    def fresh(proposal: Proposal) -> nn.Module:
        return space.build(proposal, info, 0)

    starts = [space.suggest(FixedTrial(params), info) for params in space.starts(info) or ()]
    for number, start in enumerate(starts):
        name = f"start {number}"
        curves.add("known_good", name, epochs, train(fresh(start), images, start.training, epochs))
    for number in arguments.longer:
        start, name = starts[number], f"start {number}"
        most = LONGER[-1] * epochs
        for times in LONGER:
            anew = train(fresh(start), images, start.training, times * epochs)
            curves.add("longer", f"{name}, {times * epochs} epochs anew", times * epochs, anew)
        cycles = [epochs, *(times * epochs // 2 for times in LONGER)]
        going_on = in_cycles(fresh(start), images, start.training, *cycles)
        curves.add("longer", f"{name}, in cycles", most, going_on)
        constant = train(fresh(start), images, replace(start.training, **AVERAGED), most)
        curves.add("longer", f"{name}, averaged", most, constant)
    for trial, proposal in proposals(space, info, arguments.random):
        with torch.device("meta"):
            multiply_adds = layer_table(space.build(proposal, info), info.shape).multiply_adds
        if multiply_adds <= 1e6 * arguments.limit:
            name = f"random {trial.number}"
            curves.add("random", name, epochs, train(fresh(proposal), images, proposal.training, epochs))


if __name__ == "__main__":
    main()
