"""A set of two classes, one of them rare, and trials that see it or not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.engines.messages import Ended, Message, Task
from tests.scripted import ScriptedEngine, epoch

COUNTS = {True: [[85, 95, 86], [4, 5, 14]], False: [[95, 95, 100], [0, 5, 0]]}
"""Hits, images and predictions of each class, of a trial that sees the rare one, and of one that does not."""

RATED = {True: (0.89, 0.8474), False: (0.95, 0.5)}
"""Their accuracy and balanced accuracy."""


def sees(*which: bool):
    """Trials after one another that see the rare class, or do not."""

    def script(task: Task) -> Iterator[Message]:
        sees = which[task.number % len(which)]
        accuracy, value = RATED[sees]
        for step in range(1, task.epochs + 1):
            told = epoch(task.number, step, accuracy)
            yield replace(told, epoch=replace(told.epoch, value=value), by_class=COUNTS[sees])
        yield Ended(number=task.number, how="completed")

    return script


@pytest.fixture
def rare(tmp_path: Path) -> Path:
    """190 images of class 0, which are dark, and 10 of class 1, which are bright."""
    random = np.random.default_rng(0)
    labels = (np.arange(200) % 20 == 0).astype(np.int64)
    images = random.integers(0, 100, (200, 8, 8)) + 100 * labels[:, None, None]
    file = tmp_path / "uneven.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    return file


@pytest.fixture
def scripted_by(monkeypatch: pytest.MonkeyPatch):
    """No worker is started: trials play a script."""

    def use(script) -> None:
        make = "nas.engines.kinds.local.LocalEngine"
        monkeypatch.setattr(make, lambda setup, devices, folder: ScriptedEngine(script))

    return use
