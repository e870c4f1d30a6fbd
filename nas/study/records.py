"""What a study tells about its trials: our rows and Optuna's parameters, joined, and their JSON shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate
from statistics import median
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import Engine, select

from nas.metrics.base import ACCURACY, metric_title
from nas.samplers.base import STARTUP_TRIALS
from nas.study import tables
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as it is stored."""

    number: int
    outcome: Outcome
    params: dict[str, Any]
    """What Optuna suggested; with the space's name and version they rebuild the proposal."""
    reason: str | None = None
    value: float | None = None
    """The study's metric on the validation images after the last epoch, in [0, 1]; None unless completed."""
    metric: str = ACCURACY
    """What the value is: of the study, and so of all trials that it is compared with."""
    num_parameters: int | None = None
    multiply_adds: int | None = None
    """Multiply-adds of the network for one image."""
    proposal: dict[str, Any] | None = None
    digest: str | None = None
    seed: int | None = None
    worker: int | None = None
    device: str | None = None
    """Name of the kind of device that trained it."""
    placed_on: str | None = None
    """Device that trained it, such as cuda:1; None for a trial from before that was stored."""
    versions: dict[str, str] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    """Moment of its end in UTC, like `started_at`."""
    retry_of: int | None = None
    predicted_memory: dict[str, int] | None = None
    """Bytes of the predicted peak by part."""
    plan: dict[str, Any] | None = None
    """`micro_batch`, `accumulation`, `checkpointing`."""
    predicted: int | None = None
    """Bytes of the process at its peak: the parts, calibrated by what was measured before."""
    work: dict[str, float] | None = None
    """What an epoch does, by kind: multiply-adds, bytes, calls."""
    predicted_seconds: float | None = None
    """Predicted seconds of an epoch, validation included."""
    pace: float | None = None
    """Pace of its worker: seconds of a small step over those of the reference."""
    deaths: int | None = None
    """Workers that died of it."""
    recoveries: int | None = None
    """Times it ran out of memory and went on with a more frugal plan."""
    duplicate_of: int | None = None
    """Number of the trial with the same proposal, whose curve it was told with."""
    enqueued: bool = False
    """Whether its parameters were given, as those of starts and of repeated trials are."""
    progress: float | None = None
    """Epochs that it had trained when it was last asked, and the part of the next one; None where its epochs
    are too short to be asked."""
    epochs: tuple[Epoch, ...] = ()
    partial_reports: tuple[PartialReport, ...] = ()
    """Those within its first epoch."""

    @property
    def metric_in_words(self) -> str:
        """As people call it, such as "balanced accuracy"."""
        return metric_title(self.metric)

    @property
    def part(self) -> float | None:
        """Of a running trial, the part of its next epoch that it had trained when it was last asked."""
        if self.outcome is not Outcome.RUNNING or self.progress is None:
            return None
        part = self.progress - len(self.epochs)
        return part if 0 < part <= 1 else None

    @property
    def predicted_peak(self) -> int | None:
        """Bytes that training was predicted to need, to be compared with `measured_peak`."""
        reserved = any(epoch.peak_reserved for epoch in self.epochs)
        return comparable(self.predicted_memory, reserved=reserved) if self.predicted_memory else None

    @property
    def measured_peak(self) -> int | None:
        """Bytes: of the allocator's segments on CUDA, else of live tensors."""
        peaks = (epoch.peak_reserved or epoch.peak_allocated for epoch in self.epochs)
        return max(filter(None, peaks), default=None)

    @property
    def measured_seconds(self) -> float | None:
        """Seconds of an epoch, to be compared with `predicted_seconds`."""
        return typical(epoch.seconds for epoch in self.epochs)

    @property
    def seconds(self) -> float | None:
        """From start to end; None while it runs."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """The shape of `nas show --json`: plain values, times in ISO 8601 (UTC)."""
        record = asdict(self)
        record["state"] = self.outcome.state.name
        record["outcome"] = self.outcome.value
        record["seconds"] = self.seconds
        for name in ("started_at", "finished_at"):
            record[name] = record[name] and record[name].isoformat() + "Z"
        return record


@dataclass(frozen=True)
class Recall:
    """How the images of one class were classified."""

    name: str
    """Of the class."""
    images: int
    recall: float | None
    """The part of them that was classified right; None without any."""


def typical(seconds: Iterable[float]) -> float | None:
    """The median of what epochs took but the first, which prepares kernels, if there are others."""
    taken = list(seconds)
    return median(taken[1:] or taken) if taken else None


def comparable(parts: Mapping[str, int], *, reserved: bool) -> int:
    """Of a prediction, the bytes that a measurement sees.

    They are without the context of a process; and without the scratch memory of kernels, unless the segments
    of an allocator were counted rather than tensors.
    """
    unseen = ("context",) if reserved else ("context", "workspace")
    return sum(parts.values()) - sum(parts.get(name, 0) for name in unseen)


def read_trials(
    engine: Engine, uuid: str, study: optuna.Study, metric: str, since: int = 0
) -> list[TrialRecord]:
    """Every trial of a study from number `since` on, in the order of their numbers."""
    curves: dict[int, list[Epoch]] = {}
    partial: dict[int, list[PartialReport]] = {}
    rows: dict[int, dict[str, Any]] = {}
    with engine.connect() as connection:
        wanted = select(tables.epochs).where(
            tables.epochs.c.study_uuid == uuid, tables.epochs.c.number >= since
        )
        for row in connection.execute(wanted.order_by(tables.epochs.c.epoch)).mappings():
            curves.setdefault(row["number"], []).append(epoch_of(dict(row)))
        P = tables.partial_reports.c
        reports = select(P.number, P.images_seen, P.val_images, P.val_accuracy, P.value)
        reports = reports.where(P.study_uuid == uuid, P.number >= since).order_by(P.images_seen)
        for row in connection.execute(reports).mappings():
            partial.setdefault(row["number"], []).append(partial_report_of(dict(row)))
        for row in connection.execute(
            select(tables.trials).where(tables.trials.c.study_uuid == uuid, tables.trials.c.number >= since)
        ).mappings():
            rows[row["number"]] = {name: value for name, value in row.items() if name != "study_uuid"}
    records = []
    for frozen in study.get_trials(deepcopy=False)[since:]:
        row_values = rows.get(frozen.number, {"number": frozen.number, "outcome": _outcome_of(frozen)})
        outcome = Outcome(row_values.pop("outcome"))
        params = frozen.system_attrs.get("fixed_params", {}) | frozen.params
        epochs = tuple(curves.get(frozen.number, ()))
        enqueued = "fixed_params" in frozen.system_attrs
        record = TrialRecord(
            outcome=outcome,
            params=dict(params),
            metric=metric,
            epochs=epochs,
            partial_reports=tuple(partial.get(frozen.number, ())),
            enqueued=enqueued,
            **row_values,
        )
        records.append(record)
    return records


def ranking(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The completed trials, that of highest value first; of equals the earlier one."""
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    return sorted(completed, key=lambda record: (-(record.value or 0.0), record.number))


def best_of(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The first of their ranking."""
    return next(iter(ranking(records)), None)


def given(records: Iterable[TrialRecord]) -> set[int]:
    """Numbers of the trials that were given, by a space, a person or another study, and of their repetitions.

    The sampler has proposed all others.
    """
    numbers: set[int] = set()
    for record in records:
        if record.enqueued if record.retry_of is None else record.retry_of in numbers:
            numbers.add(record.number)
    return numbers


def random_start(records: Sequence[TrialRecord]) -> tuple[TrialRecord, int] | None:
    """The best of the trials before the sampler began to learn, and how many of them were trained.

    Optuna's samplers draw at random until so many trials have ended. None if nothing was completed by then.
    """
    told = [record for record in records if record.outcome.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    start = told[:STARTUP_TRIALS]
    best = best_of(start)
    return (best, sum(record.outcome.charged for record in start)) if best else None


def counts_of(records: Sequence[TrialRecord]) -> dict[str, int]:
    """Number of trials for each outcome, zeros included."""
    counts = Counter(record.outcome for record in records)
    return {outcome.value: counts[outcome] for outcome in Outcome}


def curve_of(records: Sequence[TrialRecord]) -> tuple[float, ...]:
    """The best value so far after each completed trial, in the order in which they ended."""
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    ended = sorted((record.finished_at or datetime.min, record.value or 0.0) for record in completed)
    return tuple(accumulate((value for _, value in ended), max))


def plan_in_words(plan: Mapping[str, Any] | None) -> str | None:
    """How the batches of a trial are trained: 4 x 32 images, checkpoints."""
    if plan is None:
        return None
    times = f"{plan['accumulation']} x " if plan["accumulation"] > 1 else ""
    checkpoints = ", checkpoints" if plan["checkpointing"] else ""
    return f"{times}{plan['micro_batch']} images{checkpoints}"


def epoch_of(row: dict[str, Any]) -> Epoch:
    """The epoch that a row of `nas_epochs` holds."""
    del row["study_uuid"], row["number"]
    if row["value"] is None:  # of a study from before there were metrics; Epoch takes the accuracy
        del row["value"]
    return Epoch(number=row.pop("epoch"), **row)


def partial_report_of(row: Mapping[str, Any]) -> PartialReport:
    """The report that a row of `nas_partial_reports` holds."""
    known = {name: row[name] for name in ("images_seen", "val_images", "val_accuracy")}
    return PartialReport(**known if row["value"] is None else {**known, "value": row["value"]})


def _outcome_of(frozen: optuna.trial.FrozenTrial) -> Outcome:
    """Of a trial without a row of ours: one that waits, or was made by other hands."""
    return next(outcome for outcome in Outcome if outcome.state is frozen.state)
