"""How many trials an hour does a graphics card train with one worker, and with several packed by memory?

    python -m tests.benchmarks.packing --data path/to/cifar10 --workers 1 4 8

The same random proposals each time, interleaved; without a pruner, so that all of them train in full. On a
processor (`--device cpu`) workers share its cores, which tells nothing about a card. Not run on a GPU yet.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import torch

import nas


def trials_per_hour(workers: int, asked: argparse.Namespace) -> float:
    """Of one search in a folder of its own, from its first trial's start to its last one's end."""
    with tempfile.TemporaryDirectory() as folder:
        study = nas.search(
            space=asked.space,
            data=asked.data,
            device=asked.device,
            trials=asked.trials,
            epochs=asked.epochs,
            workers=workers,
            threads=1,
            sampler="random",
            pruner="none",
            folder=Path(folder),
        )
        records = [trial.record for trial in study.trials if trial.record.outcome.charged]
        began = min(record.started_at for record in records if record.started_at)
        ended = max(record.finished_at for record in records if record.finished_at)
    return 3600 * len(records) / (ended - began).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--space", default="cnn_fc")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run: there is no GPU; --device cpu shows that the script works")
        return
    rates = defaultdict[int, list[float]](list)
    for _ in range(asked.repeats):
        for workers in asked.workers:
            rates[workers].append(trials_per_hour(workers, asked))
    name = torch.cuda.get_device_name(asked.device) if asked.device.startswith("cuda") else asked.device
    print(f"{asked.space} on {asked.data}, {asked.trials} trials of {asked.epochs} epochs, {name}")
    alone = median(rates[asked.workers[0]])
    for workers, of in rates.items():
        rate, spread = median(of), f"{min(of):,.0f} to {max(of):,.0f}"
        print(f"{workers:3} workers: {rate:9,.0f} trials an hour ({spread}), {rate / alone:.2f} times")


if __name__ == "__main__":
    main()
