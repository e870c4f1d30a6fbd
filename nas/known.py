"""What a study has trained already, by digest: no proposal is trained twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.active import Active
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.training.epoch import Epoch

EXHAUSTED = 100
"""So many duplicates in a row, and a search space has nothing new to offer."""

TRAINED = (Outcome.COMPLETED, Outcome.PRUNED, Outcome.DOES_NOT_FIT)
"""Outcomes that another trial of the same proposal would only repeat."""


@dataclass(frozen=True)
class Earlier:
    """A trial that settles what another of the same proposal would come to."""

    number: int
    curve: Sequence[Epoch]
    predicted: int | None
    """Bytes."""


class Known:
    """The proposals of a study."""

    def __init__(self, records: Iterable[TrialRecord]) -> None:
        self._trials: dict[str, Earlier] = {}
        self.repeated = 0
        """Duplicates since the last proposal that was new."""
        for record in records:
            if record.outcome in TRAINED and record.digest:
                earlier = Earlier(record.number, record.epochs, record.predicted)
                self._trials.setdefault(record.digest, earlier)

    @property
    def exhausted(self) -> bool:
        """Whether to stop asking."""
        return self.repeated >= EXHAUSTED

    def look_up(self, digest: str) -> Earlier | None:
        """The trial that came first, if there is one; counts what is new and what is not."""
        earlier = self._trials.get(digest)
        self.repeated = self.repeated + 1 if earlier else 0
        return earlier

    def add(self, trial: Active) -> None:
        """From now on, its proposal is known. Its curve may still grow."""
        predicted = trial.plan.predicted if trial.plan else None
        self._trials[trial.proposal.digest] = Earlier(trial.number, trial.curve, predicted)

    def forget(self, trial: Active) -> None:
        """It failed or was interrupted: another may try."""
        self._trials.pop(trial.proposal.digest, None)
