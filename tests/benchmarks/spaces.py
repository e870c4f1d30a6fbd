"""What does each search space reach on CIFAR-10 in five minutes of search? Beside known networks.

    NAS_CIFAR10=... python -m tests.benchmarks.spaces --seconds 300 --seeds 3

5,000 training and 2,000 validation images, 8 epochs at most, two workers of one thread. Each search has its
time limit; each baseline is trained once, for all epochs. Searches take turns, so that a busy machine is busy
for all.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import nas
from nas.space.load import known_baselines

PER_CLASS = {"train": 500, "val": 200, "test": 100}


@dataclass
class Search:
    """A search space and how it is sampled, with what each seed found."""

    space: str
    sampler: str
    accuracies: list[float] = field(default_factory=list)
    """Validation accuracy of the best trial, in [0, 1]; 0 where none was completed in time."""
    trials: list[int] = field(default_factory=list)
    """Trained, pruned ones included."""

    def run(self, data: Path, folder: Path, seed: int, seconds: float, epochs: int) -> None:
        study = nas.search(
            space=self.space,
            sampler=self.sampler,
            data=str(data),
            folder=folder / f"{self.space}-{self.sampler}-{seed}",
            seed=seed,
            trials=100_000,
            time_limit=seconds,
            epochs=epochs,
            workers=2,
            threads=1,
            device="cpu",
        )
        best = study.best
        self.accuracies.append(best.value if best and best.value is not None else 0.0)
        self.trials.append(sum(trial.record.outcome.charged for trial in study.trials))

    def row(self) -> Sequence[str]:
        seeds = ", ".join(f"{accuracy:.4f}" for accuracy in self.accuracies)
        name = f"{self.space}, {self.sampler}"
        return name, f"{mean(self.accuracies):.4f}", seeds, f"{median(self.trials):g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="time limit of a search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    searches = [
        *(Search(space, "tpe") for space in ("mlp", "cnn_fc", "residual")),
        Search("residual", "random"),
    ]
    with tempfile.TemporaryDirectory() as temporary:
        data = write_subset(Path(os.environ["NAS_CIFAR10"]), Path(temporary, "cifar10"))
        baselines = [
            train_baseline(name, data, Path(temporary), arguments.epochs) for name in known_baselines()
        ]
        for seed in range(arguments.seeds):
            for search in searches:
                search.run(data, Path(temporary), seed, arguments.seconds, arguments.epochs)
    print(f"\nSearches of {arguments.seconds:g} s:\n")
    print_table(("space, sampler", "mean", "seeds", "trials"), [search.row() for search in searches])
    print(f"\nBaselines, {arguments.epochs} epochs:\n")
    print_table(("baseline", "accuracy", "parameters", "seconds"), baselines)


def write_subset(cifar10: Path, folder: Path) -> Path:
    """The first images of every class; the validation images come from the training images too."""
    for name in sorted(path.name for path in (cifar10 / "train").iterdir()):
        train = sorted((cifar10 / "train" / name).iterdir())
        parts = {
            "train": train[: PER_CLASS["train"]],
            "val": train[PER_CLASS["train"] : PER_CLASS["train"] + PER_CLASS["val"]],
            "test": sorted((cifar10 / "test" / name).iterdir())[: PER_CLASS["test"]],
        }
        for split, files in parts.items():
            (folder / split / name).mkdir(parents=True)
            for file in files:
                shutil.copy(file, folder / split / name)
    return folder


def train_baseline(name: str, data: Path, folder: Path, epochs: int) -> Sequence[str]:
    study = nas.search(
        space=name,
        data=str(data),
        folder=folder / name,
        trials=1,
        epochs=epochs,
        pruner="none",
        workers=1,
        threads=1,
        device="cpu",
    )
    (trial,) = study.trials
    seconds = sum(epoch.seconds for epoch in trial.record.epochs)
    return name, f"{trial.value:.4f}", f"{trial.record.num_parameters:,}", f"{seconds:.0f}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """In Markdown."""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
