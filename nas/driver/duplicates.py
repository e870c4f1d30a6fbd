"""What a study has trained already, by digest: no proposal is trained twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nas.driver.live_trial import LiveTrial
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.writer import TIME
from nas.training.epoch import Epoch

EXHAUSTED = 100
"""So many duplicates in a row, and a search space has nothing new to offer. Half of them are drawn at random:
a sampler that has learned may repeat its optimum, whatever else there is."""

TRAINED = (Outcome.COMPLETED, Outcome.PRUNED, Outcome.DOES_NOT_FIT)
"""Outcomes that another trial of the same proposal would only repeat."""


@dataclass(frozen=True)
class SeenProposal:
    """A trial that settles what another of the same proposal would come to."""

    number: int
    curve: Sequence[Epoch]
    predicted: int | None = None
    """Bytes that it was predicted to need."""
    constraints: Mapping[str, float] | None = None
    """What the sampler was told of it; None before it is planned."""


class Duplicates:
    """The proposals of a study."""

    def __init__(
        self, records: Iterable[TrialRecord], constraints: Mapping[int, Mapping[str, float]]
    ) -> None:
        """`constraints`: what the sampler was told, by the numbers of the records."""
        self._trials: dict[str, SeenProposal] = {}
        self.repeated = 0
        """Duplicates since the last proposal that was new."""
        for record in records:
            told = constraints.get(record.number, {})
            if record.outcome in TRAINED and record.digest and not told.get(TIME, 0.0) > 0:
                earlier = SeenProposal(record.number, record.epochs, record.predicted, told)
                self._trials.setdefault(record.digest, earlier)

    @property
    def exhausted(self) -> bool:
        """Whether to stop asking."""
        return self.repeated >= EXHAUSTED

    @property
    def stuck(self) -> bool:
        """Whether to ask at random, because the sampler has proposed nothing new for long."""
        return self.repeated >= EXHAUSTED // 2

    def __contains__(self, digest: str) -> bool:
        return digest in self._trials

    def look_up(self, digest: str) -> SeenProposal | None:
        """The trial that came first, if there is one; counts what is new and what is not."""
        earlier = self._trials.get(digest)
        self.repeated = self.repeated + 1 if earlier else 0
        return earlier

    def first(self, trial: LiveTrial) -> SeenProposal:
        """The trial that came first of those with the proposal of `trial`, which may be the same."""
        return self._trials.setdefault(trial.proposal.digest, SeenProposal(trial.number, trial.curve))

    def settle(self, trial: LiveTrial, predicted: int, constraints: Mapping[str, float]) -> None:
        """What the sampler is told of a trial, and so of its duplicates. Its curve may still grow."""
        earlier = SeenProposal(trial.number, trial.curve, predicted, constraints)
        self._trials[trial.proposal.digest] = earlier

    def forget(self, trial: LiveTrial) -> None:
        """It failed or was interrupted: another may try."""
        earlier = self._trials.get(trial.proposal.digest)
        if earlier is not None and earlier.number == trial.number:
            del self._trials[trial.proposal.digest]
