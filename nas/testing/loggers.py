"""What every logger keeps to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.events import (
    EpochTrained,
    Event,
    Forecast,
    Notice,
    OfBaseline,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WorkerReady,
)
from nas.loggers.base import logged
from nas.machine.plugins import LOGGERS
from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch

EPOCH = Epoch(
    number=1,
    train_loss=2.3,
    val_loss=float("nan"),
    val_accuracy=0.5,
    learning_rate=0.1,
    seconds=1.5,
    images_per_second=1000.0,
    peak_allocated=None,
    peak_reserved=None,
    peak_resident=2**20,
)
TRIAL = TrialStarted(number=0, worker=0, network="128 \u2192 \U0001f431", retry_of=None)
ENDED = TrialEnded(number=0, outcome=Outcome.COMPLETED, value=0.5, reason=None, epochs=1, seconds=1.5)


def events() -> list[Event]:
    """A short search in which everything happens."""
    recipe = Recipe.load(space="mlp", data="digits", study="study", storage="sqlite:///nas.db", trials=2)
    data = {"info": {"name": "digits", "shape": (1, 8, 8)}, "classes": ["0", "1"]}
    return [
        SearchStarted(study="study", recipe=recipe, data=data, device="cpu", workers=1, counts={}, best=None),
        Notice(text="One line,\nor two."),
        WorkerReady(worker=0, device="cpu"),
        *(OfBaseline(name="resnet8", event=event) for event in (TRIAL, _trained(0), ENDED)),
        Forecast(trials=2, seconds=3, low=2, high=5, known=False, pruned=False, starts=(1.5,), mean=1.5),
        *(TRIAL, _trained(0), ENDED),
        *(TrialStarted(number=1, worker=0, network="64", retry_of=0), _trained(1)),
        replace(ENDED, number=1, outcome=Outcome.PRUNED, value=None, reason="pruner: 0.1 after epoch 1"),
        SearchEnded(why="trials"),
    ]


def _trained(number: int) -> EpochTrained:
    return EpochTrained(number=number, epoch=EPOCH)


class LoggerContract:
    """Give the `name` of a logger: that of its file, or of its entry point."""

    name: str

    def test_it_is_found_by_its_name(self) -> None:
        assert self.name in LOGGERS.names()

    def test_it_takes_whatever_happens_in_a_search_and_in_the_next_run_of_it(self, tmp_path: Path) -> None:
        for _ in range(2):
            assert self.told(tmp_path, events()) == events(), "it was left out"

    def test_a_run_that_ended_at_once_does_it_no_harm(self, tmp_path: Path) -> None:
        assert self.told(tmp_path, []) == []

    def test_an_error_of_the_search_is_not_its_own(self, tmp_path: Path) -> None:
        def broken(event: Event) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), logged([self.name], tmp_path, broken) as tell:
            tell(events()[0])

    def told(self, folder: Path, happening: list[Event]) -> list[Event]:
        """What watchers see beside it."""
        seen: list[Event] = []
        with logged([self.name], folder, seen.append) as tell:
            for event in happening:
                tell(event)
        return seen
