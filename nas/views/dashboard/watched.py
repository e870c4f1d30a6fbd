"""Studies that are looked at again and again: what cannot change any more is read and computed once."""

from __future__ import annotations

from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import select

from nas.final.rebuilt import layers_of
from nas.network.layers import LayerTable
from nas.recipe import Recipe
from nas.study import tables
from nas.study.lock import lock_holder
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader
from nas.study.records import TrialRecord
from nas.study.retrying_storage import RetryingStorage
from nas.views import figures

UNSETTLED = (Outcome.RUNNING, Outcome.WAITING)

FIGURES = {
    "best-so-far": figures.history,
    "best-so-far-by-time": figures.history_by_time,
    "learning-curves": figures.learning_curves,
    "accuracy-and-parameters": figures.accuracy_against_parameters,
    "memory": figures.memory,
    "seconds": figures.seconds,
}
"""What optuna-dashboard shows of a study beside its own figures."""

PANEL = {"height": 420, "legend": {"y": -0.2, "yanchor": "top"}}
"""How its panels hold them: they are narrow."""


class WatchedStudy:
    """One study. Any thread may ask."""

    def __init__(self, storage: RetryingStorage, store: StudyReader, study_id: int) -> None:
        self.name = store.name
        self.study_id = study_id
        """Optuna's, as in the addresses of its dashboard."""
        self._storage = storage
        self._store = store
        self._lock = RLock()
        self._records: list[TrialRecord] = []
        self._layers: dict[str, LayerTable] = {}
        self._figures: dict[str, str] = {}
        self._drawn = -1

    @property
    def row(self) -> dict[str, Any]:
        """The study's row in `nas_studies`, as it is now: a run that continues the study changes it."""
        mine = tables.studies.c.study_uuid == self._store.uuid
        with self._store.engine.connect() as connection:
            return dict(connection.execute(select(tables.studies).where(mine)).mappings().one())

    @property
    def recipe(self) -> Recipe:
        return Recipe.model_validate(self.row["recipe"])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of its images."""
        return self._store.info.shape

    @property
    def driver(self) -> str | None:
        """Who holds the study now: process, host and start time; None if nobody does."""
        return lock_holder(self._storage, self.name)

    def records(self) -> list[TrialRecord]:
        """Every trial; those before the first that still waits or runs are not read again."""
        with self._lock:
            unsettled = (index for index, record in enumerate(self._records) if record.outcome in UNSETTLED)
            since = next(unsettled, len(self._records))
            self._records = [*self._records[:since], *self._store.trials(since)]
            return self._records

    def layers(self, record: TrialRecord) -> LayerTable:
        """The network of a trial.

        Raises:
            NasError: it cannot be rebuilt, or not be followed.
        """
        with self._lock:
            key = _network(record)
            if key not in self._layers:
                self._layers[key] = layers_of(self._store, record)
            return self._layers[key]

    def knows_layers(self, record: TrialRecord) -> bool:
        """Whether `layers` answers at once."""
        return _network(record) in self._layers

    def figures(self) -> dict[str, str]:
        """plotly's JSON by name; drawn again when a trial has ended."""
        with self._lock:
            records = self.records()
            ended = sum(record.outcome not in UNSETTLED for record in records)
            if ended != self._drawn:
                drawn = {name: draw(records) for name, draw in FIGURES.items()}
                self._figures = {name: each.update_layout(PANEL).to_json() for name, each in drawn.items()}
                self._drawn = ended
            return self._figures


class Watched:
    """The studies of a database that nas made.

    Args:
        chosen: name of the study that is shown first.
    """

    def __init__(self, storage: RetryingStorage, folder: Path, chosen: str) -> None:
        self._storage = storage
        self._folder = folder
        self._known: dict[int, WatchedStudy] = {}
        self.first: int = storage.get_study_id_from_name(chosen)
        """Optuna's id of the chosen study."""

    def get(self, study_id: int) -> WatchedStudy | None:
        """None where there is no such study, or another program made it."""
        try:
            name = self._storage.get_study_name_from_id(study_id)
        except KeyError:
            return None
        known = self._known.get(study_id)
        if known is None or known.name != name:
            store = StudyReader(self._storage, name, self._folder)
            if not store.uuid:
                return None
            known = self._known[study_id] = WatchedStudy(self._storage, store, study_id)
        return known


def _network(record: TrialRecord) -> str:
    return record.digest or str(record.number)
