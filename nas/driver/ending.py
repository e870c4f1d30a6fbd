"""When a run is over: its trials are trained, its time is up, its target is reached, too much has failed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from nas.driver.proposer import Proposer
from nas.driver.time_budget import TimeBudget
from nas.errors import SearchFailed
from nas.events import Why
from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of

FAILURES = 5
"""So many failures in a row end the search: of trials, also of those that have used up their retries, or of
workers that cannot even start. With many workers it takes two of each: one event may fail all that run."""


class Ending:
    """Counts what a run has come to."""

    def __init__(
        self,
        recipe: Recipe,
        records: Sequence[TrialRecord],
        proposing: Proposer,
        times: TimeBudget,
        workers: int,
    ) -> None:
        """`records`: the trials that the study already has."""
        self._recipe, self._proposing, self._times, self._workers = recipe, proposing, times, workers
        self.charged = sum(record.outcome.charged for record in records)
        """Trials that count toward `--trials`."""
        best = best_of(records)
        self._best = best.value if best and best.value is not None else -math.inf
        self._failures = 0
        self.stopping = False
        """Whether somebody has asked for an end."""
        self._deadline = math.inf

    def begins(self, deadline: float) -> None:
        """The run has so long, by `time.monotonic`."""
        self._deadline = deadline
        self._times.begins(deadline)

    def why(self, on_their_way: int) -> Why | None:
        """Why the run is over; None while it is not.

        Args:
            on_their_way: trials that are asked and not told yet.
        """
        if self.stopping:
            return "stopped"
        if self.charged >= self._recipe.trials:
            return "trials"
        if self._best >= (self._recipe.target_accuracy or math.inf):
            return "target"
        if self._proposing.exhausted and not on_their_way:
            return "exhausted"
        if time.monotonic() >= self._deadline or (self._times.nothing_can_end and not on_their_way):
            return "time"
        return None

    def asks_no_more(self, on_their_way: int) -> bool:
        """Whether the trials on their way are the last ones."""
        if self.stopping or self._proposing.exhausted or self._times.nothing_can_end:
            return True
        return self.charged + on_their_way >= self._recipe.trials

    def count(self, outcome: Outcome, value: float | None) -> None:
        """A trial is told."""
        if outcome.charged:
            self.charged += 1
            self._failures = 0
        if value is not None:
            self._best = max(self._best, value)

    def count_failure(self, reason: str) -> None:
        """A trial or a worker has failed.

        Raises:
            SearchFailed: so have those before it.
        """
        self._failures += 1
        if self._failures >= max(FAILURES, 2 * self._workers) and not self.stopping:
            raise SearchFailed(f"{self._failures} failures in a row. The last one: {reason}")
