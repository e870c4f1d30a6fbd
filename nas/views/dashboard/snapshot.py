"""What the live page tells of a study, counted from its trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nas.events import Forecast
from nas.metrics.base import metric_title
from nas.recipe import Recipe
from nas.study.clock import seconds_since
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of, counts_of
from nas.views.outlook import search_left, trial_left

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

    def left_of(self, record: TrialRecord) -> float | None:
        """Seconds until a running trial ends; None before anything is known."""
        if record.started_at is None:
            return None
        taken = [epoch.seconds for epoch in record.epochs]
        since = max(0.0, seconds_since(record.started_at) - sum(taken))
        lacks = self.recipe.epochs - len(taken)
        return trial_left(record.predicted_seconds, taken, lacks, record.part, since)

    @property
    def left(self) -> float | None:
        """Seconds until the search ends; None where none runs, or where nothing was said before it began."""
        recipe, said, began = self.recipe, self.row.get("forecast"), self.row.get("searched_at")
        if not self.searching or not said or not began:
            return None
        forecast = Forecast(**said | {"starts": tuple(said["starts"])})
        mine = [record for record in self.records if record.started_at and record.started_at >= began]
        trained = [record for record in mine if record.worker is not None]
        left = [self.left_of(record) for record in self.running]
        seconds = search_left(
            forecast,
            remaining=max(0, recipe.trials - self.trained),
            begun=len(mine),
            workers=len(self.row.get("devices") or ()) or 1,
            ran=max(
                (seconds_since(record.started_at) for record in trained if record.started_at), default=0.0
            ),
            done=sum(self._done(record, forecast) for record in trained),
            running=[forecast.mean if each is None else each for each in left],
        )
        limit = math.inf if recipe.time_limit is None else recipe.time_limit - seconds_since(began)
        return max(0.0, min(seconds, limit))

    def _done(self, record: TrialRecord, forecast: Forecast) -> float:
        """Predicted seconds of what a trial has trained; of all of it, once it has ended."""
        epochs, predicted = self.recipe.epochs, record.predicted_seconds
        whole = forecast.mean if predicted is None else predicted * epochs
        if record.outcome is not Outcome.RUNNING:
            return whole
        return whole * (len(record.epochs) + (record.part or 0.0)) / epochs

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
