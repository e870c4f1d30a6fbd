"""What do the starts of a search space reach on data of several kinds? And its random proposals?

    NAS_CIFAR10=... python -m tests.benchmarks.starts --results starts.jsonl
    NAS_CIFAR10=... python -m tests.benchmarks.starts --results starts.jsonl --random 100 --limit 6

Each is trained once, for 8 epochs, in this process, on one thread. CPU seconds of training and validation,
decoding left out. What is in the results already is not trained again.

The figures are in the README. On an AMD EPYC at 2.6 GHz without AVX-512, torch 2.14, other work running: 22
CPU minutes for the starts of cnn_fc and residual, 11 for 66 random proposals. Muon is slow there: its
products in bf16 take 36 times as long as in fp32.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from optuna.trial import FixedTrial
from PIL import Image

from nas.datasets import ImageData, open_data
from nas.network.layers import layer_table
from nas.space import Proposal
from nas.space.load import Space, load_space
from nas.space.parameters import smallest
from nas.testing.spaces import proposals
from nas.training.epoch import Diverged
from nas.training.images import Images
from nas.training.loop import Trainer
from tests.benchmarks.spaces import print_table

SETS: Mapping[str, tuple[int, int, bool]] = {
    "digits": (0, 0, True),
    "CIFAR-10": (2_500, 1_000, False),
    "grey, 28x28": (1_500, 1_000, True),
    "1,000 images": (1_000, 1_000, False),
}
"""Training and validation images of CIFAR-10, and whether they are made grey."""

EPOCHS = 8


@dataclass(frozen=True)
class Result:
    """One training."""

    data: str
    digest: str
    seed: int
    accuracy: float
    """Of the validation split after the last epoch, in [0, 1]; 0 where training diverged."""
    seconds: float
    """CPU seconds of all epochs, validation included."""
    multiply_adds: int


class Results:
    """Trainings by data, proposal and seed, kept in a file of JSON lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        found = [Result(**json.loads(line)) for line in lines]
        self._known = {(each.data, each.digest, each.seed): each for each in found}

    def of(self, name: str, images: Images, space: Space, proposal: Proposal, seed: int = 0) -> Result:
        """Train a proposal, unless that has been done."""
        key = (name, proposal.digest, seed)
        if key not in self._known:
            self._known[key] = result = train(name, images, space, proposal, seed)
            with self._file.open("a") as file:
                file.write(json.dumps(vars(result)) + "\n")
        return self._known[key]


def train(name: str, images: Images, space: Space, proposal: Proposal, seed: int) -> Result:
    """Train a proposal for all epochs."""
    model = space.build(proposal, images.info, seed)
    multiply_adds = layer_table(model, images.info.shape).multiply_adds
    trainer = Trainer(model, images, proposal.training, epochs=EPOCHS, precision="fp32", seed=seed)
    began, accuracy = time.process_time(), 0.0
    try:
        for epoch in trainer.run():
            accuracy = epoch.val_accuracy
    except Diverged:
        accuracy = 0.0
    seconds = time.process_time() - began
    return Result(name, proposal.digest, seed, accuracy, seconds, multiply_adds)


def open_set(name: str, cifar10: Path, folder: Path) -> ImageData:
    """One of SETS, decoded."""
    num_train, num_val, grey = SETS[name]
    if not num_train:
        return open_data(name)
    place = folder / name.replace(" ", "_").replace(",", "")
    for label in sorted(path.name for path in (cifar10 / "train").iterdir()):
        files = sorted((cifar10 / "train" / label).iterdir())
        parts = {
            "train": files[: num_train // 10],
            "val": files[-num_val // 10 :],
            "test": sorted((cifar10 / "test" / label).iterdir())[:10],
        }
        for split, some in parts.items():
            (place / split / label).mkdir(parents=True)
            for file in some:
                if grey:
                    image = Image.open(file).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
                    image.save(place / split / label / f"{file.stem}.png")
                else:
                    shutil.copy(file, place / split / label)
    return open_data(str(place))


def measured(results: Results, space: Space, images: Mapping[str, Images]) -> list[tuple[str, list[Result]]]:
    """The smallest proposal of a space and its starts, with their results on each set."""
    rows: list[tuple[str, list[Result]]] = []
    for name, of in images.items():
        params = [smallest(space, of.info), *(space.starts(of.info) or [])]
        for number, each in enumerate(params):
            proposal = space.suggest(FixedTrial(each), of.info)
            if number == len(rows):
                rows.append((in_short(proposal) if number else "smallest", []))
            rows[number][1].append(results.of(name, of, space, proposal))
    return rows


def in_short(proposal: Proposal) -> str:
    """Widths, head and training of a start."""
    described = vars(proposal.architecture)
    widths = "-".join(map(str, described.get("filters") or described.get("widths") or ()))
    twice = " twice" if described.get("convs_per_stage", 1) > 1 else ""
    head = f", fc {'-'.join(map(str, described['fc_units']))}" if described["fc_units"] else ""
    training = proposal.training
    return f"{widths}{twice}{head}; {training.optimizer} {training.learning_rate:g}, {training.batch_size}"


def left_out(rows: Sequence[tuple[str, list[Result]]], chosen: int = 3) -> Iterator[tuple[str, str, str]]:
    """For each set: the best of the starts that do best on the other sets, and the best of all."""
    starts = [results for _, results in rows[1:]]
    best = [max(column, key=lambda each: each.accuracy).accuracy for column in zip(*starts, strict=True)]
    for number, each in enumerate(starts[0]):
        shares = [
            sum(result.accuracy / best[at] for at, result in enumerate(results) if at != number)
            for results in starts
        ]
        picked = sorted(range(len(starts)), key=lambda start: -shares[start])[:chosen]
        reached = max(starts[start][number].accuracy for start in picked)
        yield each.data, f"{reached:.4f}", f"{best[number]:.4f}"


def random_proposals(results: Results, space: Space, images: Images, count: int, limit: float) -> None:
    """Train random proposals of at most so many million multiply-adds, and print how many do badly."""
    found = []
    dear = 0
    for _, proposal in proposals(space, images.info, count):
        with torch.device("meta"):
            model = space.build(proposal, images.info)
        if layer_table(model, images.info.shape).multiply_adds > 1e6 * limit:
            dear += 1
        else:
            found.append(results.of("CIFAR-10", images, space, proposal).accuracy)
    half = max(found) / 2
    bad = sum(accuracy < half for accuracy in found)
    print(
        f"{space.name}: {len(found)} of {count} random proposals have at most {limit:g} M multiply-adds:"
        f" best {max(found):.4f}, median {median(found):.4f}, {bad} ({bad / len(found):.0%}) below half of it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spaces", nargs="+", default=["cnn_fc", "residual"])
    parser.add_argument("--results", type=Path, default=Path("starts.jsonl"))
    parser.add_argument("--random", type=int, default=0, help="random proposals instead of the starts")
    parser.add_argument("--limit", type=float, default=6, help="of these, in million multiply-adds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results, cifar10 = Results(arguments.results), Path(os.environ["NAS_CIFAR10"])
    with tempfile.TemporaryDirectory() as folder:
        names = ["CIFAR-10"] if arguments.random else list(SETS)
        images = {
            name: Images.load(open_set(name, cifar10, Path(folder)), torch.device("cpu")) for name in names
        }
        for name in arguments.spaces:
            space = load_space(name)
            if arguments.random:
                random_proposals(results, space, images["CIFAR-10"], arguments.random, arguments.limit)
                continue
            rows = measured(results, space, images)
            cells = [
                (label, *(f"{each.accuracy:.4f} / {each.seconds:.0f}" for each in of)) for label, of in rows
            ]
            print(f"\n{name}: validation accuracy / CPU seconds\n")
            print_table(("start", *SETS), cells)
            print("\nThe best of the three starts that do best on the other sets, and the best of all\n")
            print_table(("left out", "reached", "best"), list(left_out(rows)))


if __name__ == "__main__":
    main()
