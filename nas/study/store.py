"""One study: its place in the database, and what the driver writes there.

Each fact is written to our tables first and told to Optuna second, so that a driver that dies between the two
leaves a trial that the next one, in `begin`, can finish telling.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import Trial, TrialState
from sqlalchemy import Engine, insert, select, update

from nas.errors import InvalidSetting, StudyError, UnknownName
from nas.recipe import Recipe
from nas.space import Proposal
from nas.study import tables
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, read_trials
from nas.study.samplers import make_pruner, make_sampler
from nas.study.storage import redacted
from nas.study.weights import KEPT, keep_only
from nas.training.epoch import Epoch
from nas.versions import versions

UUID = "nas:uuid"
RETRY_OF = "nas:retry_of"


class StudyStore:
    """A study that exists. `StudyStore.create` makes one, `StudyStore.find` opens one."""

    def __init__(self, storage: RDBStorage, name: str, folder: Path) -> None:
        self.name = name
        self.folder = (folder / name).resolve()
        """Where weights, logs and the lock lie, whichever database is used."""
        self._storage = storage
        self._study = optuna.load_study(study_name=name, storage=storage)
        self.uuid = str(self._study.user_attrs.get(UUID, ""))
        """Empty for a study that another program created."""

    @classmethod
    def create(
        cls,
        storage: RDBStorage,
        name: str,
        folder: Path,
        recipe: Recipe,
        space_version: int,
        data: dict[str, Any],
    ) -> StudyStore:
        """A new study with everything that rebuilds its trials."""
        identity = str(uuid.uuid4())
        with storage.engine.begin() as connection:
            row = {
                "study_uuid": identity,
                "name": name,
                "created_at": _now(),
                "recipe": _storable(recipe),
                "space_version": space_version,
                "data": data,
                "versions": versions(),
            }
            connection.execute(insert(tables.studies).values(row))
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study.set_user_attr(UUID, identity)
        return cls(storage, name, folder)

    @classmethod
    def find(cls, storage: RDBStorage, name: str | None, folder: Path) -> StudyStore:
        """The study called `name`, or the latest one when it is None.

        Raises:
            UnknownName: there is no such study; the message lists those there are.
            StudyError: there is none at all, or it was made by another program.
        """
        with storage.engine.connect() as connection:
            rows = select(tables.studies.c.name).order_by(tables.studies.c.created_at)
            stored = list(connection.scalars(rows))
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
    def exists(cls, storage: RDBStorage, name: str) -> bool:
        """Whether the database holds a study of this name, ours or not."""
        return name in optuna.get_all_study_names(storage)

    # What is stored -----------------------------------------------------------------------------------

    @cached_property
    def row(self) -> dict[str, Any]:
        """The study's row in `nas_studies`."""
        with self.engine.connect() as connection:
            query = select(tables.studies).where(tables.studies.c.study_uuid == self.uuid)
            row = connection.execute(query).mappings().one()
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
    def space_version(self) -> int:
        return int(self.row["space_version"])

    @property
    def engine(self) -> Engine:
        engine: Engine = self._storage.engine
        return engine

    def trials(self) -> list[TrialRecord]:
        return read_trials(self.engine, self.uuid, self._study)

    # What the driver does -----------------------------------------------------------------------------

    def take_over(self, recipe: Recipe) -> None:
        """Store the settings of the run that continues this study."""
        content = _storable(recipe)
        with self.engine.begin() as connection:
            mine = tables.studies.c.study_uuid == self.uuid
            connection.execute(update(tables.studies).where(mine).values(recipe=content))
        self.row["recipe"] = content

    def begin(self) -> None:
        """Get ready to ask: settle what an earlier driver left behind, then choose sampler and pruner."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._settle(frozen.number)
        self._retry_interrupted()
        recipe, trials = self.recipe, self._study.get_trials(deepcopy=False)
        self._study.sampler = make_sampler(recipe.sampler, recipe.seed, len(trials))
        self._study.pruner = make_pruner(recipe.pruner, recipe.epochs)

    def enqueue(self, params: dict[str, Any]) -> None:
        """Propose these parameters next."""
        self._study.enqueue_trial(params)

    def ask(self) -> Trial:
        return self._study.ask()

    @staticmethod
    def retry_of(trial: Trial) -> int | None:
        """Number of the interrupted trial that this one repeats."""
        number: int | None = trial.user_attrs.get(RETRY_OF)
        return number

    def start(self, trial: Trial, proposal: Proposal, seed: int, worker: int) -> None:
        """Record what a trial trains."""
        row = {
            "study_uuid": self.uuid,
            "number": trial.number,
            "outcome": Outcome.RUNNING,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "seed": seed,
            "worker": worker,
            "started_at": _now(),
            "retry_of": self.retry_of(trial),
        }
        with self.engine.begin() as connection:
            connection.execute(insert(tables.trials).values(row))

    def describe(self, number: int, **columns: Any) -> None:
        """Add what the worker found out about a trial: its size, its device, its versions."""
        self._update(number, **columns)

    def report(self, trial: Trial, epoch: Epoch) -> None:
        """Record one epoch. Numbers that are not finite become NULL."""
        row: dict[str, Any] = {name: _finite(value) for name, value in asdict(epoch).items()}
        row |= {"study_uuid": self.uuid, "number": trial.number, "epoch": row.pop("number")}
        with self.engine.begin() as connection:
            connection.execute(insert(tables.epochs).values(row))
        trial.report(epoch.val_accuracy, step=epoch.number)

    def tell(
        self, number: int, outcome: Outcome, value: float | None = None, reason: str | None = None
    ) -> None:
        """End a trial.

        Args:
            value: validation accuracy in [0, 1]; given if and only if the trial completed.
        """
        assert (value is not None) == (outcome is Outcome.COMPLETED)
        self._update(number, outcome=outcome, value=value, reason=reason, finished_at=_now())
        self._tell_optuna(number, outcome, value)

    def keep_best_weights(self, running: set[int]) -> None:
        """Remove all weights but those of the best three trials and of trials that still run."""
        completed = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        ranked = sorted(completed, key=lambda trial: (-(trial.value or 0.0), trial.number))
        keep_only(self.folder, {trial.number for trial in ranked[:KEPT]} | running)

    # --------------------------------------------------------------------------------------------------

    def _settle(self, number: int) -> None:
        """End a trial that a dead driver left RUNNING: as our row says, else as interrupted."""
        query = select(tables.trials.c.outcome, tables.trials.c.value)
        mine = (tables.trials.c.study_uuid == self.uuid) & (tables.trials.c.number == number)
        with self.engine.connect() as connection:
            row = connection.execute(query.where(mine)).one_or_none()
        if row is not None and row.outcome != Outcome.RUNNING:
            self._tell_optuna(number, Outcome(row.outcome), row.value)
        else:
            self.tell(number, Outcome.INTERRUPTED, reason="the search stopped")

    def _retry_interrupted(self) -> None:
        """Enqueue every interrupted trial that no other trial repeats yet."""
        repeated = {trial.user_attrs.get(RETRY_OF) for trial in self._study.get_trials(deepcopy=False)}
        for record in self.trials():
            if record.outcome is Outcome.INTERRUPTED and record.number not in repeated and record.params:
                self._study.enqueue_trial(record.params, user_attrs={RETRY_OF: record.number})

    def _tell_optuna(self, number: int, outcome: Outcome, value: float | None) -> None:
        self._study.tell(number, value, state=outcome.state)

    def _update(self, number: int, **columns: Any) -> None:
        mine = (tables.trials.c.study_uuid == self.uuid) & (tables.trials.c.number == number)
        with self.engine.begin() as connection:
            changed = connection.execute(update(tables.trials).where(mine).values(columns))
            if changed.rowcount == 0:  # it ended before it was started: its proposal failed
                row = {"study_uuid": self.uuid, "number": number, **columns}
                connection.execute(insert(tables.trials).values(row))


def check_study_name(name: str) -> str:
    """`name`, which is also the name of a folder.

    Raises:
        InvalidSetting: no folder can be called so.
    """
    printable = name.isprintable() and name.strip(" .") == name and 0 < len(name) <= 200
    if not printable or any(character in name for character in '/\\:*?"<>|'):
        raise InvalidSetting(f"A study cannot be called {name!r}: its name is also that of a folder.")
    return name


def _storable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON, without the password of its database."""
    content = recipe.model_dump(mode="json")
    return content | {"storage": recipe.storage and redacted(recipe.storage)}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
