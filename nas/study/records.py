"""What a study tells about its trials: our rows and Optuna's parameters, joined, and their JSON shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import optuna
from sqlalchemy import Engine, select

from nas.study import tables
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as it is stored."""

    number: int
    outcome: Outcome
    params: dict[str, Any]
    """What Optuna suggested; with the space's name and version they rebuild the proposal."""
    reason: str | None = None
    value: float | None = None
    """Validation accuracy after the last epoch, in [0, 1]; None unless completed."""
    num_parameters: int | None = None
    multiply_adds: int | None = None
    """For one image."""
    proposal: dict[str, Any] | None = None
    digest: str | None = None
    seed: int | None = None
    worker: int | None = None
    device: str | None = None
    versions: dict[str, str] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    """UTC, like `started_at`."""
    retry_of: int | None = None
    epochs: tuple[Epoch, ...] = ()

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


def read_trials(engine: Engine, uuid: str, study: optuna.Study) -> list[TrialRecord]:
    """Every trial of a study in the order of their numbers."""
    curves: dict[int, list[Epoch]] = {}
    rows: dict[int, dict[str, Any]] = {}
    with engine.connect() as connection:
        wanted = select(tables.epochs).where(tables.epochs.c.study_uuid == uuid)
        for row in connection.execute(wanted.order_by(tables.epochs.c.epoch)).mappings():
            curves.setdefault(row["number"], []).append(_epoch(dict(row)))
        for row in connection.execute(
            select(tables.trials).where(tables.trials.c.study_uuid == uuid)
        ).mappings():
            rows[row["number"]] = {name: value for name, value in row.items() if name != "study_uuid"}
    records = []
    for frozen in study.get_trials(deepcopy=False):
        row_values = rows.get(frozen.number, {"number": frozen.number, "outcome": _outcome_of(frozen)})
        outcome = Outcome(row_values.pop("outcome"))
        params = frozen.params or frozen.system_attrs.get("fixed_params", {})
        epochs = tuple(curves.get(frozen.number, ()))
        records.append(TrialRecord(outcome=outcome, params=dict(params), epochs=epochs, **row_values))
    return records


def best_of(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed trial of highest value; the earlier one of equals."""
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    return max(completed, key=lambda record: (record.value or 0.0, -record.number), default=None)


def counts_of(records: Sequence[TrialRecord]) -> dict[str, int]:
    """Number of trials for each outcome, zeros included."""
    counts = Counter(record.outcome for record in records)
    return {outcome.value: counts[outcome] for outcome in Outcome}


def _epoch(row: dict[str, Any]) -> Epoch:
    del row["study_uuid"], row["number"]
    return Epoch(number=row.pop("epoch"), **row)


def _outcome_of(frozen: optuna.trial.FrozenTrial) -> Outcome:
    """Of a trial without a row of ours: one that waits, or was made by other hands."""
    return next(outcome for outcome in Outcome if outcome.state is frozen.state)
