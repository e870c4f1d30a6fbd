"""One study as it is stored: found in its database, and read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import optuna
from sqlalchemy import Engine, RowMapping, Table, func, select

from nas.errors import StudyError, UnknownName
from nas.metrics.base import ClassCounts, metric_title
from nas.recipe import Recipe
from nas.space import DataInfo
from nas.study import tables
from nas.study.records import Recall, TrialRecord, epoch_of, partial_report_of, read_trials
from nas.study.retrying_storage import RetryingStorage

UUID = "nas:uuid"

SPACE = "space"
"""Among the facts of a study's data: `digest` of its search space, and `folder`, where results lay then."""


def space_facts(digest: str | None, folder: Path) -> dict[str, Any]:
    """Those of a search space, for a study whose results lie in a folder inside `folder`."""
    return {SPACE: {"digest": digest, "folder": str(folder.absolute())}}


class StudyReader:
    """A study that exists, to be read. `StudyReader.find` opens one."""

    def __init__(self, storage: RetryingStorage, name: str, folder: Path) -> None:
        self.name = name
        self.folder = (folder / name).absolute()
        """Where weights, logs and the lock lie, whichever database is used."""
        self._storage = storage
        self._study = optuna.load_study(study_name=name, storage=storage)
        self.uuid = str(self._study.user_attrs.get(UUID, ""))
        """Empty for a study that another program created."""
        self.named_space: str | None = None
        """Where its search space is found now, if a person has just said so."""

    @classmethod
    def find(cls, storage: RetryingStorage, name: str | None, folder: Path) -> Self:
        """The study called `name`, or the one that was searched last when it is None.

        Raises:
            UnknownName: there is no such study; the message lists those there are.
            StudyError: there is none at all, or it was made by another program.
        """
        columns = tables.studies.c
        rows = select(columns.name).where(columns.companion_of.is_(None))
        latest = func.coalesce(columns.searched_at, columns.created_at)  # the former is new
        stored = [row["name"] for row in storage.read(rows.order_by(latest, columns.created_at))]
        present = set(optuna.get_all_study_names(storage))
        known = [name for name in stored if name in present]
        if name is None:
            if not known:
                raise StudyError("There is no study yet. Start one with: nas search")
            name = known[-1]
        if name not in present:
            raise UnknownName("study", name, known)
        store = cls(storage, name, folder)
        if not store.uuid:
            raise StudyError(f"Study {name!r} was not made by nas. Choose another name with --study.")
        return store

    @classmethod
    def exists(cls, storage: RetryingStorage, name: str) -> bool:
        """Whether the database holds a study of this name, ours or not."""
        return name in optuna.get_all_study_names(storage)

    def companions(self) -> list[Self]:
        """The studies of its baselines, in the order in which they were added."""
        columns = tables.studies.c
        query = select(columns.name).where(columns.companion_of == self.uuid).order_by(columns.created_at)
        present = set(optuna.get_all_study_names(self._storage))
        names = [row["name"] for row in self._storage.read(query)]
        return [type(self)(self._storage, name, self.folder.parent) for name in names if name in present]

    @cached_property
    def row(self) -> dict[str, Any]:
        """The study's row in `nas_studies`."""
        (row,) = self._storage.read(select(tables.studies).where(tables.studies.c.study_uuid == self.uuid))
        return dict(row)

    @property
    def recipe(self) -> Recipe:
        """Every setting as resolved when the study started, or when it was last continued."""
        return Recipe.model_validate(self.row["recipe"])

    @property
    def data(self) -> dict[str, Any]:
        """What was recorded of the dataset: shape, classes, counts, fingerprint, split digest."""
        data: dict[str, Any] = self.row["data"]
        return data

    @property
    def info(self) -> DataInfo:
        """What a search space may know of the study's data."""
        info = dict(self.data["info"])
        return DataInfo(**info | {name: tuple(info[name]) for name in ("shape", "augmentations")})

    @property
    def space_digest(self) -> str | None:
        """Of the files of its search space when they were last taken over; None for a known space, and for a
        study from before this was stored."""
        digest: str | None = self.data.get(SPACE, {}).get("digest")
        return digest

    def where_now(self, source: str) -> Path:
        """Where a file or folder lies that the study knows as `source`, an absolute path.

        Where there is none any more, it may have moved together with the folder of the results.
        """
        then = self.data.get(SPACE, {}).get("folder")
        if then and not os.path.exists(source):
            with suppress(ValueError):  # of another drive of Windows, from where no path leads
                moved = Path(os.path.normpath(self.folder.parent / os.path.relpath(source, then)))
                return moved if moved.exists() else Path(source)
        return Path(source)

    @property
    def metric(self) -> str:
        """What the value of a trial is, in words."""
        return metric_title(self.recipe.metric)

    @property
    def space_version(self) -> int:
        return int(self.row["space_version"])

    @property
    def memory_cap(self) -> int | None:
        """Bytes that one trial may use; None for a study from before there were caps."""
        cap: int | None = self.row["memory_cap"]
        return cap

    @property
    def calibration(self) -> dict[str, Any]:
        """By device, what measured memory has taught of predictions."""
        return dict(self.row["calibration"] or {})

    @property
    def storage(self) -> RetryingStorage:
        """The database that the study lies in."""
        return self._storage

    @property
    def engine(self) -> Engine:
        engine: Engine = self._storage.engine
        return engine

    @property
    def optuna_study(self) -> optuna.Study:
        """Optuna's view of the study, to be read."""
        return self._study

    def counts(self, number: int) -> ClassCounts | None:
        """How the validation images were classified after the last epoch of trial `number`.

        None where that is not known: it has not ended yet, or is from before this was stored.
        """
        columns = tables.counts.c
        mine = (columns.study_uuid == self.uuid) & (columns.number == number)
        rows = self._storage.read(select(columns.by_class).where(mine))
        return ClassCounts.from_rows(rows[0]["by_class"]) if rows else None

    def recalls(self, number: int) -> list[Recall]:
        """By class, how the validation images were classified after the last epoch of trial `number`; empty
        where that is not known."""
        counts = self.counts(number)
        if counts is None:
            return []
        shares = [None if math.isnan(share) else share for share in counts.recalls.tolist()]
        rows = zip(self.data["classes"], counts.support.tolist(), shares, strict=True)
        return [Recall(*row) for row in rows]

    def completed(self) -> set[int]:
        """Numbers of the trials that have a value."""
        columns = tables.trials.c
        query = select(columns.number).where(columns.study_uuid == self.uuid, columns.value.is_not(None))
        return {row["number"] for row in self._storage.read(query)}

    def curve(self, number: int) -> list[tuple[int, float]]:
        """Images that a trial had seen, each as often as it was seen, and its value after them, within its
        first epoch and after each."""

        def rows(table: Table) -> Sequence[RowMapping]:
            mine = (table.c.study_uuid == self.uuid) & (table.c.number == number)
            return self._storage.read(select(table).where(mine))

        reports = (partial_report_of(dict(row)) for row in rows(tables.partial_reports))
        within = [(report.images_seen, report.value) for report in reports]
        epochs = (epoch_of(dict(row)) for row in rows(tables.epochs))
        after = [(epoch.number * self.info.num_train, epoch.value) for epoch in epochs]
        return sorted([*within, *after])

    def trials(self, since: int = 0) -> list[TrialRecord]:
        """Every trial from number `since` on."""
        read = partial(read_trials, self.engine, self.uuid, self._study, self.recipe.metric, since)
        return self._storage.patiently(read)
