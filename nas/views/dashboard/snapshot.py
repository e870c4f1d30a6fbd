"""What the live page tells of a study, counted from its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nas.metrics.base import metric_title
from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of, counts_of

LATEST = 12
"""So many trials that ended last are listed."""


@dataclass(frozen=True)
class Reason:
    """Trials that ended alike."""

    outcome: Outcome
    words: str
    """What they share, such as pruner, diverged, flat; empty where the outcome says it all."""
    trials: int
    latest: TrialRecord

    @property
    def example(self) -> str:
        """What the latest of them adds."""
        return (self.latest.reason or "").removeprefix(f"{self.words}: ")


@dataclass(frozen=True)
class Reservation:
    """What is reserved for a running trial, in bytes."""

    record: TrialRecord
    size: int
    seen: int
    """The most that it was seen to use."""
    cap: int
    """The most that it may use; what it uses where nobody knows."""


@dataclass(frozen=True)
class DeviceMemory:
    """What running trials reserve of one device."""

    device: str
    budget: int | None
    """Bytes that they may use together, if it is known."""
    reservations: list[Reservation]

    @property
    def used(self) -> int:
        """Bytes that they reserve together."""
        return sum(each.size for each in self.reservations)


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment."""

    records: Sequence[TrialRecord]
    row: dict[str, Any]
    """The row of the study in `nas_studies`."""
    driver: str | None
    """Who holds the study now, in words; None if nobody does."""

    @property
    def recipe(self) -> Recipe:
        return Recipe.model_validate(self.row["recipe"])

    @property
    def metric(self) -> str:
        """What the value of a trial is, in words."""
        return metric_title(self.recipe.metric)

    @property
    def searching(self) -> bool:
        """Whether a driver searches; `nas train` holds a study whose search has ended."""
        return self.driver is not None and self.row.get("ended") is None

    @property
    def best(self) -> TrialRecord | None:
        return best_of(self.records)

    @property
    def counts(self) -> dict[Outcome, int]:
        return {Outcome(name): number for name, number in counts_of(self.records).items()}

    @property
    def trained(self) -> int:
        """Trials charged to those that were asked for."""
        return sum(record.outcome.charged for record in self.records)

    @property
    def running(self) -> list[TrialRecord]:
        return [
            record for record in self._unsettled if record.outcome is Outcome.RUNNING and record.started_at
        ]

    @property
    def waiting(self) -> int:
        """Trials that wait, or are being planned."""
        return len(self._unsettled) - len(self.running)

    @property
    def _unsettled(self) -> list[TrialRecord]:
        return [record for record in self.records if record.outcome in (Outcome.RUNNING, Outcome.WAITING)]

    @property
    def images_per_second(self) -> float | None:
        """Of all running trials together."""
        return (
            sum(record.epochs[-1].images_per_second or 0 for record in self.running if record.epochs) or None
        )

    @property
    def latest(self) -> list[TrialRecord]:
        """Trials that ended, the last one first."""
        ended = [record for record in self.records if record.finished_at is not None]
        return sorted(ended, key=lambda record: record.finished_at or datetime.min)[: -LATEST - 1 : -1]

    @property
    def reasons(self) -> list[Reason]:
        """How trials ended, the commonest of each outcome first."""
        alike: dict[tuple[Outcome, str], list[TrialRecord]] = {}
        for record in self.records:
            if record.finished_at is not None:
                alike.setdefault((record.outcome, _kind(record)), []).append(record)
        order = list(Outcome)
        reasons = [Reason(outcome, kind, len(them), them[-1]) for (outcome, kind), them in alike.items()]
        return sorted(reasons, key=lambda reason: (order.index(reason.outcome), -reason.trials))

    @property
    def devices(self) -> list[DeviceMemory]:
        """The devices of which running trials have reserved memory."""
        names: dict[int | None, str] = dict(enumerate(self.row.get("devices") or ()))
        by_device: dict[str, list[Reservation]] = {}
        for record in self.running:
            if record.predicted is not None:
                seen = record.measured_peak or 0
                cap = max(self.row.get("memory_cap") or 0, record.predicted, seen)
                device = names.get(record.worker) or record.device or self.recipe.device
                reservations = by_device.setdefault(device, [])
                reservations.append(Reservation(record, record.predicted, seen, cap))
        budgets = self.row.get("budgets") or {}
        return [DeviceMemory(device, budgets.get(device), them) for device, them in by_device.items()]


def _kind(record: TrialRecord) -> str:
    """The first words of a reason, which trials share: a pruned trial's are pruner, diverged, flat, …"""
    if record.outcome is not Outcome.PRUNED or record.reason is None:
        return ""
    return record.reason.partition(":")[0]
