"""How long a worker may be silent."""

from types import SimpleNamespace
from typing import cast

import pytest

from nas.driver.live_trial import LiveTrial
from nas.driver.watchdog import BUILDING, MULTIPLE, PASSES, SHORTEST, SLOWEST, UNCOUNTED, Watchdog

IMAGES = 1000
LARGE = 10**9
"""Multiply-adds for an image."""


def trial(multiply_adds: int | None, *epochs: float, heard: float = 0.0, built: bool = True) -> LiveTrial:
    """One whose epochs took so many seconds."""
    curve = [SimpleNamespace(seconds=seconds) for seconds in epochs]
    known = SimpleNamespace(
        number=7, worker=0, built=built, multiply_adds=multiply_adds, curve=curve, heard=heard
    )
    known.last = curve[-1] if curve else None
    return cast(LiveTrial, known)


SLOW = SHORTEST / MULTIPLE * 10
"""Seconds of an epoch, so that a multiple of them is beyond the shortest patience."""


@pytest.mark.parametrize(
    ("before", "now", "patience"),
    [
        ([], trial(None, built=False), BUILDING),
        ([trial(LARGE, SLOW)], trial(None, built=False), BUILDING),
        ([], trial(LARGE, 0.1, built=False), BUILDING),  # again, because its worker died
        ([], trial(None), UNCOUNTED),
        ([], trial(None, SLOW), MULTIPLE * SLOW),
        ([], trial(1), SHORTEST),  # built; nothing was ever measured
        ([], trial(LARGE), PASSES * LARGE * IMAGES / SLOWEST),
        ([], trial(LARGE, 0.1), SHORTEST),  # by its own epochs
        ([], trial(LARGE, SLOW), MULTIPLE * SLOW),
        ([], trial(LARGE, SLOW, 0.1), MULTIPLE * SLOW),  # the slowest of them
        ([trial(LARGE, 0.1)], trial(LARGE, SLOW), MULTIPLE * SLOW),
        ([trial(LARGE, SLOW)], trial(LARGE), MULTIPLE * SLOW),  # by the epochs of others, in proportion
        ([trial(LARGE, SLOW)], trial(2 * LARGE), MULTIPLE * 2 * SLOW),
        ([trial(LARGE, SLOW)], trial(1), SHORTEST),
        ([trial(LARGE, SLOW), trial(LARGE, 0.1)], trial(LARGE), MULTIPLE * SLOW),  # the slowest counts
        ([trial(0, SLOW)], trial(LARGE), PASSES * LARGE * IMAGES / SLOWEST),  # it teaches nothing
    ],
)
def test_patience_is_a_bounded_multiple_of_what_an_epoch_should_take(
    before: list[LiveTrial], now: LiveTrial, patience: float
) -> None:
    watchdog = Watchdog(IMAGES)
    for each in before:
        watchdog.learn(each)
    assert watchdog.patience(now) == pytest.approx(patience)


@pytest.mark.parametrize(("silent", "hangs"), [(0, False), (SHORTEST - 1, False), (SHORTEST + 1, True)])
def test_a_worker_hangs_once_it_was_silent_for_longer(silent: float, hangs: bool) -> None:
    heard = 1000.0
    assert Watchdog(IMAGES).hangs(trial(1, heard=heard), now=heard + silent) is hangs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that it shows."""
    shown = [0.0]
    monkeypatch.setattr("nas.driver.watchdog.time", SimpleNamespace(monotonic=lambda: shown[0]))
    return shown


def looks(clock: list[float], watchdog: Watchdog, until: float, step: float, *trials: LiveTrial) -> list[str]:
    """What is said of `trials`, and of trial 3, which is told, when it is looked at them every `step`."""
    said = []
    while clock[0] < until:
        clock[0] += step
        said += [f"{number}: {reason}" for number, reason in watchdog.look(trials, {3})]
    return said


def test_silent_workers_are_ended_once(clock: list[float]) -> None:
    said = looks(clock, Watchdog(IMAGES), 3 * SHORTEST, 1.0, trial(1))
    assert said == ["7: worker 0 hung: silent for 301 s", "3: it did not stop"]


def test_nobody_is_blamed_for_a_silence_in_which_the_driver_slept_too(clock: list[float]) -> None:
    watchdog, silent = Watchdog(IMAGES), trial(1)
    assert looks(clock, watchdog, 1.0, 1.0, silent) == []
    assert looks(clock, watchdog, 10 * SHORTEST, 2 * SHORTEST, silent) == []
    assert len(looks(clock, watchdog, 12 * SHORTEST, 1.0, silent)) == 2
