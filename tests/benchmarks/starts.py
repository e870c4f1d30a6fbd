"""What do the starts of a search space reach on data of several kinds? Each is trained once, in this process.

    NAS_CIFAR10=... python -m tests.benchmarks.starts --spaces cnn_fc residual --results starts.jsonl

One thread; CPU seconds, decoding left out. What is in the results already is not trained again.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FixedTrial
from PIL import Image

from nas.datasets import ImageData, open_data
from nas.network.layers import layer_table
from nas.space import Proposal
from nas.space.load import Space, known_baselines, load_space
from nas.space.parameters import smallest
from nas.training.epoch import Diverged
from nas.training.images import Images
from nas.training.loop import Trainer

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
