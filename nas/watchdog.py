"""When a silent worker hangs: no epoch in a bounded multiple of the time that one should take."""

from __future__ import annotations

from nas.active import Active

MULTIPLE = 20
"""Of the expected time."""

SHORTEST = 300.0
"""Seconds that no worker is too slow for, on the busiest machine."""

BUILDING = 900.0
"""Seconds to start a process, load the data and build a network."""

SLOWEST = 1e8
"""Multiply-adds per second that the slowest device does, before any was measured."""

PASSES = 3
"""A training step takes three times the multiply-adds of a forward."""


class Watchdog:
    """Learns from every epoch how fast this search trains."""

    def __init__(self, num_train: int) -> None:
        """`num_train`: images of an epoch."""
        self._num_train = num_train
        self._slowest: float | None = None

    def learn(self, trial: Active) -> None:
        """From the last epoch of a trial."""
        if trial.last is None or not trial.multiply_adds:
            return
        rate = PASSES * trial.multiply_adds * self._num_train / max(trial.last.seconds, 1e-3)
        self._slowest = min(rate, self._slowest or rate)

    def hangs(self, trial: Active, now: float) -> bool:
        """Whether a running trial's worker has said nothing for too long."""
        return now - trial.heard > self.patience(trial)

    def patience(self, trial: Active) -> float:
        """Seconds that the worker of a trial may be silent."""
        if trial.multiply_adds is None:
            return BUILDING
        work = PASSES * trial.multiply_adds * self._num_train
        if trial.curve:
            expected = max(epoch.seconds for epoch in trial.curve)
        elif self._slowest is not None:
            expected = work / self._slowest
        else:
            return max(SHORTEST, work / SLOWEST)
        return max(SHORTEST, MULTIPLE * expected)
