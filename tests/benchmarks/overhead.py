"""What a search costs beside the loop that a user would write: the same trials, three ways.

    NAS_CIFAR10=path/to/cifar10 python tests/benchmarks/overhead.py

(a) bare    a plain training loop over float tensors that are in memory already: the floor
(b) nas     nas.search: driver, SQL study and one worker
(c) script  the usual script: Optuna, DataLoader and torchvision's transforms over the folder

12 proposals of cnn_fc, 4 epochs, 5,000 training and 1,000 validation images of CIFAR-10, one thread;
interleaved, repeated, medians. Seconds until the first trial can begin are reported apart, as start-up.

Measured on 2 shared cores of an AMD EPYC at 2.6 GHz, torch 2.15, version 1 of cnn_fc with seed 34 (whose
proposals were the smallest of 60), CPU seconds, three repeats: bare 185.9,
nas 123.7, script 272.8, beside other work; nas / bare 0.68 (0.65 to 0.69), nas / script 0.47 (0.44 to 0.49).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRIALS, EPOCHS = 12, 4
SEED = 0
WAYS = ("bare", "nas", "script")


def cpu_seconds() -> float:
    """Of this process and of all its children, living or dead."""
    import psutil

    total = sum(os.times()[:4])
    return total + sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


class Clock:
    """CPU and wall seconds, before and after the first trial begins."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.ready: tuple[float, float] | None = None

    def start_training(self) -> None:
        self.ready = self.ready or (cpu_seconds(), time.perf_counter())

    def print(self) -> None:
        assert self.ready is not None
        cpu, wall = self.ready
        figures = {
            "cpu": cpu_seconds() - cpu,
            "wall": time.perf_counter() - wall,
            "start cpu": cpu,
            "start wall": wall - self.began,
        }
        print(json.dumps(figures))


def run_nas(images: Path, folder: Path) -> None:
    clock = Clock()
    import nas
    from nas.events import Event, WorkerReady

    def watch(event: Event) -> None:
        if isinstance(event, WorkerReady):
            clock.start_training()

    nas.search(
        space="cnn_fc",
        data=str(images),
        study="overhead",
        folder=folder,
        trials=TRIALS,
        epochs=EPOCHS,
        seed=SEED,
        sampler="random",
        pruner="none",
        workers=1,
        threads=1,
        device="cpu",
        watch=watch,
    )
    clock.print()


def proposals(folder: Path) -> list[Any]:
    """Those of the study that `run_nas` left there, diverged ones included."""
    import nas

    return [(trial.proposal, trial.build()) for trial in nas.load_study("overhead", folder=folder).trials]


def optimizer_of(model: Any, training: Any) -> Any:
    import torch

    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), rate, momentum=training.momentum, weight_decay=decay, nesterov=True
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    return kind[training.optimizer](model.parameters(), rate, weight_decay=decay)


def run_bare(images: Path, folder: Path) -> None:
    clock = Clock()
    import torch
    from torch.nn import functional

    from nas.datasets import open_data
    from nas.training.schedules import learning_rates

    torch.set_num_threads(1)
    data = open_data(str(images))
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (data.mean, data.std))
    splits = []
    for split in (data.train, data.val):
        pixels = torch.tensor(split.images).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        splits.append((pixels.contiguous(), torch.tensor(split.labels)))
    (train_x, train_y), (val_x, val_y) = splits
    trials = proposals(folder)
    clock.start_training()
    for proposal, model in trials:
        training = proposal.training
        optimizer = optimizer_of(model, training)
        steps = len(train_x) // training.batch_size * EPOCHS
        rates = learning_rates(training, steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step, rates=rates, top=training.learning_rate: rates(step) / top
        )
        for _ in range(EPOCHS):
            model.train()
            running = 0.0
            order = torch.randperm(len(train_x))
            for start in range(0, len(order) - training.batch_size + 1, training.batch_size):
                rows = order[start : start + training.batch_size]
                x, y = train_x[rows], train_y[rows]
                if "shift" in training.augmentation:  # the cheapest way: a whole batch at once
                    top, left = torch.randint(0, 9, (2,)).tolist()
                    x = functional.pad(x, (4, 4, 4, 4))[:, :, top : top + 32, left : left + 32]
                if "flip" in training.augmentation and torch.rand(()) < 0.5:
                    x = x.flip(3)
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y, label_smoothing=training.label_smoothing)
                loss.backward()
                optimizer.step()
                schedule.step()
                running += loss.item()
            model.eval()
            with torch.no_grad():
                logits = torch.cat([model(x) for x in val_x.split(256)])
            print(running, (logits.argmax(1) == val_y).float().mean().item(), file=sys.stderr)
    clock.print()


def run_script(images: Path, folder: Path) -> None:
    clock = Clock()
    import optuna
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    from nas.training.schedules import learning_rates

    torch.set_num_threads(1)
    trials = proposals(folder)
    normalise = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))]
    )
    augmentations = {"shift": transforms.RandomCrop(32, padding=4), "flip": transforms.RandomHorizontalFlip()}

    def objective(trial: optuna.Trial) -> float:
        proposal, model = trials[trial.number]
        training = proposal.training
        chosen = [augmentations[name] for name in training.augmentation if name in augmentations]
        train = datasets.ImageFolder(images / "train", transforms.Compose([*chosen, normalise]))
        val = datasets.ImageFolder(images / "val", normalise)
        batches = DataLoader(train, training.batch_size, shuffle=True, drop_last=True)
        optimizer = optimizer_of(model, training)
        rates = learning_rates(training, len(batches) * EPOCHS)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rates(step) / training.learning_rate
        )
        accuracy = 0.0
        for epoch in range(EPOCHS):
            model.train()
            running = 0.0
            for x, y in batches:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y, label_smoothing=training.label_smoothing)
                loss.backward()
                optimizer.step()
                schedule.step()
                running += loss.item()
            model.eval()
            with torch.no_grad():
                right = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(val, 256))
            accuracy = right / len(val)
            trial.report(accuracy, epoch)
            trial.should_prune()
        return accuracy

    storage = f"sqlite:///{folder}/script-{os.getpid()}.db"
    study = optuna.create_study(storage=storage, direction="maximize", pruner=optuna.pruners.NopPruner())
    clock.start_training()
    study.optimize(objective, n_trials=len(trials))
    clock.print()


def subset(cifar10: Path, folder: Path) -> Path:
    """Class folders of links: 500 images a class to train on, 100 to validate, 10 to test."""
    for split, start, count in (("train", 0, 500), ("val", 500, 100), ("test", 600, 10)):
        for kind in sorted((cifar10 / "train").iterdir()):
            (folder / split / kind.name).mkdir(parents=True)
            for file in sorted(kind.iterdir())[start : start + count]:
                (folder / split / kind.name / file.name).symlink_to(file.resolve())
    return folder


def measure(way: str, images: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--images", str(images), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        {"bare": run_bare, "nas": run_nas, "script": run_script}[arguments.way](
            arguments.images, arguments.folder
        )
        return
    if "NAS_CIFAR10" not in os.environ:
        sys.exit("Set NAS_CIFAR10 to a folder with train/<class>/*.jpg.")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NAS_CACHE"] = f"{temporary}/cache"
        images = subset(Path(os.environ["NAS_CIFAR10"]), Path(temporary, "images"))
        results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for repeat in range(arguments.repeats):
            folder = Path(temporary, f"repeat-{repeat}")
            for way in ("nas", "bare", "script"):  # nas first: it makes the proposals
                results[way].append(measure(way, images, folder))
                print(repeat, way, results[way][-1], flush=True)
    median = {
        way: {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        for way, runs in results.items()
    }
    print(f"{'':8}{'CPU s':>9}{'wall s':>9}{'start CPU s':>13}{'start wall s':>14}")
    for way, figures in median.items():
        print(
            f"{way:8}"
            + "".join(f"{value:{w}.1f}" for value, w in zip(figures.values(), (9, 9, 13, 14), strict=True))
        )
    for other in ("bare", "script"):
        ratios = [
            run["cpu"] / theirs["cpu"] for run, theirs in zip(results["nas"], results[other], strict=True)
        ]
        print(f"nas / {other}, CPU: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
