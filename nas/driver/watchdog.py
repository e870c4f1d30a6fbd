"""When a silent worker hangs: no epoch in a bounded multiple of the time that one should take."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Set

from nas.driver.live_trial import LiveTrial
from nas.errors import SearchFailed

MULTIPLE = 20
"""So many times the expected time, and a worker hangs."""

SHORTEST = 300.0
"""Seconds that no worker is too slow for, on the busiest machine."""

BUILDING = 900.0
"""Seconds to start a process, load the data and build a network."""

UNCOUNTED = 6 * 3600.0
"""Seconds of a first epoch of which nothing can be expected, since its work cannot be counted."""

STALL = 5.0
"""Seconds between two looks at the workers that a driver does not need by itself."""

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
        self._looked = time.monotonic()
        self._leaving: dict[int, float] = {}
        """Moment since which a worker should come back, by the trial that is told."""

    def learn(self, trial: LiveTrial) -> None:
        """From the last epoch of a trial."""
        if trial.last is None or not trial.multiply_adds:
            return
        rate = PASSES * trial.multiply_adds * self._num_train / max(trial.last.seconds, 1e-3)
        self._slowest = min(rate, self._slowest or rate)

    def look(self, trials: Collection[LiveTrial], leaving: Set[int]) -> Iterator[tuple[int, str]]:
        """Trials whose workers hang, with what they are to be ended for.

        Args:
            trials: on their way.
            leaving: numbers of trials that are told, and that workers should be coming back from.
        """
        now = time.monotonic()
        pause, self._looked = now - self._looked, now
        if pause > STALL:  # not they alone were silent: the machine slept, or all of it was too busy
            for trial in trials:
                trial.heard += pause
            self._leaving = {number: since + pause for number, since in self._leaving.items()}
        for trial in trials:
            if trial.worker is not None and self.hangs(trial, now):
                yield trial.number, f"worker {trial.worker} hung: silent for {now - trial.heard:.0f} s"
                trial.heard = math.inf
        self._leaving = {number: self._leaving.get(number, now) for number in leaving}
        for number, since in self._leaving.items():
            if now - since > SHORTEST:
                yield number, "it did not stop"
                self._leaving[number] = math.inf

    def check_ready(self, opened: float) -> None:
        """While no worker has been ready since `opened`.

        Raises:
            SearchFailed: it takes too long.
        """
        if time.monotonic() - opened > BUILDING:
            raise SearchFailed(f"No worker was ready within {BUILDING:.0f} s of its start.")

    def hangs(self, trial: LiveTrial, now: float) -> bool:
        """Whether a running trial's worker has said nothing for too long."""
        return now - trial.heard > self.patience(trial)

    def patience(self, trial: LiveTrial) -> float:
        """Seconds that the worker of a trial may be silent."""
        if not trial.built:
            return BUILDING
        if trial.curve:
            return max(SHORTEST, MULTIPLE * max(epoch.seconds for epoch in trial.curve))
        if trial.multiply_adds is None:
            return UNCOUNTED
        work = PASSES * trial.multiply_adds * self._num_train
        if self._slowest is None:
            return max(SHORTEST, work / SLOWEST)
        return max(SHORTEST, MULTIPLE * work / self._slowest)
