"""Every opening of the test images of a study, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from nas.metrics.base import ACCURACY
from nas.study import tables
from nas.study.clock import now
from nas.study.reader import StudyReader


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One opening of the test images."""

    opening: int
    """Number of the opening; 1 for the first."""
    opened_at: datetime
    """Moment in UTC."""
    settings: dict[str, Any]
    test_accuracy: float | None
    """Accuracy in [0, 1]; None if the run ended before it was known."""
    test_value: float | None
    """The study's metric, in [0, 1]; None likewise."""
    result: dict[str, Any] | None


def openings(store: StudyReader) -> list[Opening]:
    """Those of a study, the first one first."""
    columns = tables.finals.c
    query = select(tables.finals).where(columns.study_uuid == store.uuid).order_by(columns.opening)
    rows = [dict(row) for row in store.storage.read(query)]
    return [_opening(**{name: row[name] for name in row if name != "study_uuid"}) for row in rows]


def _opening(result: dict[str, Any] | None, test_value: float | None, **columns: Any) -> Opening:
    """Also of one from before there were metrics: its values are accuracies."""
    if result is not None and "metric" not in result:
        test_value = result["test_accuracy"]
        result = result | {
            "metric": ACCURACY,
            "test_value": test_value,
            "mirrored_value": result["mirrored_accuracy"],
            "retrained": [row | {"values": row["val_accuracies"]} for row in result["retrained"]],
            "gains": [row | {"test_value": row["test_accuracy"]} for row in result["gains"]],
        }
    return Opening(result=result, test_value=test_value, **columns)


def enter_opening(store: StudyReader, settings: dict[str, Any]) -> int:
    """Record that the test images are about to be opened. Returns which opening it is."""
    number = len(openings(store)) + 1
    row = {"study_uuid": store.uuid, "opening": number, "opened_at": now(), "settings": settings}
    store.storage.put(tables.finals, row)
    return number


def keep_result(store: StudyReader, opening: int, result: dict[str, Any]) -> None:
    """Record what came of an opening: `test_accuracy`, `test_value`, and all else."""
    columns = tables.finals.c
    mine = (columns.study_uuid == store.uuid) & (columns.opening == opening)
    known = {name: result[name] for name in ("test_accuracy", "test_value")}
    store.storage.write(update(tables.finals).where(mine).values(result=result, **known))


def final_weights(opening: int) -> str:
    """The file of the final model's weights, relative to the study's folder."""
    return f"final/model-{opening}.safetensors"
