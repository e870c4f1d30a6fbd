"""How long a worker may be silent."""

from types import SimpleNamespace
from typing import cast

import pytest

from nas.active import Active
from nas.watchdog import BUILDING, MULTIPLE, PASSES, SHORTEST, SLOWEST, Watchdog

IMAGES = 1000
LARGE = 10**9
"""Multiply-adds for an image."""


def trial(multiply_adds: int | None, *epochs: float, heard: float = 0.0) -> Active:
    """One whose epochs took so many seconds."""
    curve = [SimpleNamespace(seconds=seconds) for seconds in epochs]
    known = SimpleNamespace(multiply_adds=multiply_adds, curve=curve, heard=heard)
    known.last = curve[-1] if curve else None
    return cast(Active, known)


SLOW = SHORTEST / MULTIPLE * 10
"""Seconds of an epoch, so that a multiple of them is beyond the shortest patience."""


@pytest.mark.parametrize(
    ("before", "now", "patience"),
    [
        ([], trial(None), BUILDING),  # not built yet
        ([trial(LARGE, SLOW)], trial(None), BUILDING),
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
    before: list[Active], now: Active, patience: float
) -> None:
    watchdog = Watchdog(IMAGES)
    for each in before:
        watchdog.learn(each)
    assert watchdog.patience(now) == pytest.approx(patience)


@pytest.mark.parametrize(("silent", "hangs"), [(0, False), (SHORTEST - 1, False), (SHORTEST + 1, True)])
def test_a_worker_hangs_once_it_was_silent_for_longer(silent: float, hangs: bool) -> None:
    heard = 1000.0
    assert Watchdog(IMAGES).hangs(trial(1, heard=heard), now=heard + silent) is hangs
