"""Trials that repeat interrupted ones: what they inherit, kept in Optuna's user attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from optuna.trial import FrozenTrial

from nas.study.outcome import Outcome
from nas.study.records import TrialRecord

RETRY_OF = "nas:retry_of"


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What a trial inherits from the one that it repeats."""

    of: int
    """Number of the trial that was interrupted."""
    origin: int
    """Number of the first of them, which names their checkpoint."""
    deaths: int = 0
    """Workers that died of it."""

    @classmethod
    def read(cls, user_attrs: Mapping[str, Any]) -> Retry | None:
        """Of a trial with these attributes; None if it repeats no other."""
        match user_attrs.get(RETRY_OF):
            case None:
                return None
            case int(number):  # of a nas without checkpoints
                return cls(of=number, origin=number)
            case content:
                return cls(**content)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What `read` reads."""
        return {RETRY_OF: asdict(self)}


def unrepeated(
    trials: Sequence[FrozenTrial], records: Sequence[TrialRecord]
) -> Iterator[tuple[Retry, dict[str, Any]]]:
    """Of every interrupted trial that no other repeats yet: its retry, with the parameters to propose.

    Args:
        trials: all of Optuna's.
        records: all of ours.
    """
    retries = {trial.number: Retry.read(trial.user_attrs) for trial in trials}
    repeated = {retry.of for retry in retries.values() if retry}
    for record in records:
        if record.outcome is not Outcome.INTERRUPTED or record.number in repeated:
            continue
        before = retries[record.number] or Retry(of=record.number, origin=record.number)
        deaths = max(before.deaths, record.deaths or 0)  # the column is empty until one more dies
        yield replace(before, of=record.number, deaths=deaths), record.params
