"""What every pruner keeps to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nas.machine.plugins import PRUNERS
from nas.pruners.base import make_pruner
from nas.recipe import Recipe
from nas.space import DataInfo
from nas.study.database import make_folder, open_database, storage_url
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport

EPOCHS = 4
DATA = DataInfo(name="data", shape=(1, 8, 8), num_classes=10, num_train=1000, num_val=100, augmentations=())

Curve = Sequence[float]
Decisions = list[list[str | None]]
"""Of each trial, what the pruner said after each of its epochs."""


class PrunerContract:
    """Give the `name` of a pruner: that of its file, or of its entry point."""

    name: str

    def test_it_is_found_by_its_name(self) -> None:
        assert self.name in PRUNERS.names()

    def test_the_best_goes_on_reasons_are_one_line_and_another_run_would_decide_the_same(
        self, tmp_path: Path
    ) -> None:
        """What a pruner knows must be in the study, so that a search which is stopped and goes on ends the
        trials that an undisturbed one ends."""
        tops = (*np.random.default_rng(0).uniform(0.2, 0.9, 7), 1.0)
        curves = [[top * (1 - 2.0**-epoch) for epoch in range(1, EPOCHS + 1)] for top in tops]
        said = decisions(new_study(self.name, tmp_path / "once"), curves)
        assert said[-1] == [None] * (EPOCHS - 1)
        for reason in (reason for reasons in said for reason in reasons if reason is not None):
            assert reason
            assert reason.isprintable()
        assert decisions(new_study(self.name, tmp_path / "often"), curves, anew=True) == said

    def test_it_answers_within_the_first_epoch_too(self, tmp_path: Path) -> None:
        study = new_study(self.name, tmp_path)
        number, images_seen = study.ask().number, DATA.num_train // 4
        report = PartialReport(images_seen=images_seen, val_images=DATA.num_val, val_accuracy=0.5)
        study.report_partly(number, report)
        reason = make_pruner(study).stop(number, images_seen, report.val_accuracy)
        assert reason is None or (reason and reason.isprintable())


def new_study(pruner: str, folder: Path) -> StudyWriter:
    """A study whose trials `pruner` may end."""
    recipe = Recipe.load(space="mlp", study="study", sampler="random", pruner=pruner, epochs=EPOCHS)
    make_folder(folder / "study")
    storage = open_database(storage_url(None, folder), create=True)
    study = StudyWriter.create(storage, "study", folder, recipe, 1, {"info": asdict(DATA)})
    study.begin()
    return study


def decisions(study: StudyWriter, curves: Sequence[Curve], *, anew: bool = False) -> Decisions:
    """Train trials that learn as `curves` say, one after the other, as the driver does.

    Args:
        anew: with a pruner of its own for each trial, as if the search had been stopped.
    """
    pruner = make_pruner(study)
    said: Decisions = []
    for curve in curves:
        if anew:
            pruner = make_pruner(study)
        trial, reasons = study.ask(), list[str | None]()
        for number, accuracy in enumerate(curve, start=1):
            study.report(trial, epoch(number, accuracy))
            if number < EPOCHS:
                reasons.append(pruner.stop(trial.number, number * DATA.num_train, accuracy))
                if reasons[-1]:
                    study.tell(trial.number, Outcome.PRUNED, reason=reasons[-1])
                    break
        else:
            study.tell(trial.number, Outcome.COMPLETED, value=curve[-1])
        said.append(reasons)
    return said


def epoch(number: int, accuracy: float) -> Epoch:
    """One epoch of a trial."""
    return Epoch(
        number=number,
        train_loss=1.0,
        val_loss=math.log(10),
        val_accuracy=accuracy,
        learning_rate=0.1,
        seconds=1.0,
        images_per_second=1000.0,
        peak_allocated=None,
        peak_reserved=None,
        peak_resident=None,
    )
