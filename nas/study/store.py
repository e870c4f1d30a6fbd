"""One study: its place in the database, and what the driver writes there.

Each fact is written to our tables first and told to Optuna second, so that a driver that dies between the two
leaves a trial that the next one, in `begin`, can finish telling.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._rdb.models import StudyModel
from optuna.trial import Trial, TrialState
from sqlalchemy import Engine, select, update

from nas.errors import InvalidSetting, StudyError, UnknownName
from nas.recipe import Recipe
from nas.space import Proposal
from nas.study import tables
from nas.study.checkpoints import keep_only_checkpoints
from nas.study.outcome import Outcome
from nas.study.patience import StudyStorage
from nas.study.records import TrialRecord, read_trials
from nas.study.samplers import make_pruner, make_sampler
from nas.study.storage import make_folder, redacted
from nas.study.weights import KEPT, keep_only
from nas.training.epoch import Epoch
from nas.versions import versions

UUID = "nas:uuid"
RETRY_OF = "nas:retry_of"

MEMORY = "memory"
"""The constraint on every trial: bytes needed over bytes allowed, less one."""

OUT_OF_MEMORY = "oom"
"""The constraint on a trial that no plan could train, though the prediction said so."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What a trial inherits from the one that it repeats."""

    of: int
    """Number of the trial that was interrupted."""
    origin: int
    """Number of the first of them, which names their checkpoint."""
    deaths: int = 0
    """Workers that died of it."""


class StudyStore:
    """A study that exists. `StudyStore.create` makes one, `StudyStore.find` opens one."""

    def __init__(self, storage: StudyStorage, name: str, folder: Path) -> None:
        self.name = name
        self.folder = (folder / name).resolve()
        """Where weights, logs and the lock lie, whichever database is used."""
        self._storage = storage
        self._study = optuna.load_study(study_name=name, storage=storage)
        self._ranking: list[tuple[float, int]] = []
        """(-value, number) of the best trials."""
        self.uuid = str(self._study.user_attrs.get(UUID, ""))
        """Empty for a study that another program created."""

    @classmethod
    def create(
        cls,
        storage: StudyStorage,
        name: str,
        folder: Path,
        recipe: Recipe,
        space_version: int,
        data: dict[str, Any],
        memory_cap: int | None = None,
        companion_of: str | None = None,
        first: dict[str, Any] | None = None,
    ) -> StudyStore:
        """A new study with everything that rebuilds its trials.

        It appears all at once: until its last transaction it has no name that anybody would look for.

        Args:
            memory_cap: bytes.
            companion_of: UUID of the study that this one trains a baseline for.
            first: parameters of its first trial.
        """
        identity = str(uuid.uuid4())
        row = {
            "study_uuid": identity,
            "name": name,
            "created_at": _now(),
            "recipe": _storable(recipe),
            "space_version": space_version,
            "data": data,
            "versions": versions(),
            "memory_cap": memory_cap,
            "companion_of": companion_of,
        }
        study = optuna.create_study(study_name=identity, storage=storage, direction="maximize")
        study.set_user_attr(UUID, identity)
        if first is not None:
            study.enqueue_trial(first)
        named = update(StudyModel).where(StudyModel.study_name == identity).values(study_name=name)
        storage.put(tables.studies, row, named)
        return cls(storage, name, folder)

    @classmethod
    def find(cls, storage: StudyStorage, name: str | None, folder: Path) -> StudyStore:
        """The study called `name`, or the latest one when it is None.

        Raises:
            UnknownName: there is no such study; the message lists those there are.
            StudyError: there is none at all, or it was made by another program.
        """
        rows = select(tables.studies.c.name).where(tables.studies.c.companion_of.is_(None))
        stored = [row["name"] for row in storage.read(rows.order_by(tables.studies.c.created_at))]
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
    def exists(cls, storage: StudyStorage, name: str) -> bool:
        """Whether the database holds a study of this name, ours or not."""
        return name in optuna.get_all_study_names(storage)

    def companions(self) -> list[StudyStore]:
        """The studies of its baselines, in the order in which they were added."""
        columns = tables.studies.c
        query = select(columns.name).where(columns.companion_of == self.uuid).order_by(columns.created_at)
        present = set(optuna.get_all_study_names(self._storage))
        names = [row["name"] for row in self._storage.read(query)]
        return [StudyStore(self._storage, name, self.folder.parent) for name in names if name in present]

    def add_companion(self, name: str, recipe: Recipe, space_version: int) -> StudyStore:
        """A study for a baseline, on the same data and under the same memory cap."""
        make_folder(self.folder.parent / name)
        return self.create(
            self._storage,
            name,
            self.folder.parent,
            recipe,
            space_version,
            self.data,
            self.memory_cap,
            companion_of=self.uuid,
            first={},
        )

    # What is stored -----------------------------------------------------------------------------------

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
    def storage(self) -> StudyStorage:
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

    def trials(self, since: int = 0) -> list[TrialRecord]:
        """Every trial from number `since` on."""
        read = partial(read_trials, self.engine, self.uuid, self._study, since)
        return self._storage.patiently(read)

    # What the driver does -----------------------------------------------------------------------------

    def take_over(self, recipe: Recipe, memory_cap: int | None) -> None:
        """Store the settings of the run that continues this study."""
        self._set(recipe=_storable(recipe), memory_cap=memory_cap)

    def run_begins(self, devices: Sequence[str], budgets: Mapping[str, int]) -> None:
        """Tell those who watch the device of each worker, and bytes by device."""
        self._set(devices=list(devices), budgets=dict(budgets), ended=None)

    def run_ends(self, why: str) -> None:
        """Tell those who watch why."""
        self._set(ended=why)

    def keep_calibration(self, device: str, content: dict[str, Any]) -> None:
        """Store what the memory of a device has taught."""
        self._set(calibration=self.calibration | {device: content})

    def begin(self) -> None:
        """Get ready to ask: settle what an earlier driver left behind, then choose sampler and pruner."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.settle(Trial(self._study, frozen._trial_id))
        waiting = self._retry_interrupted()
        keep_only_checkpoints(self.folder, {retry.origin for retry in waiting})
        recipe, trials = self.recipe, self._study.get_trials(deepcopy=False)
        self._study.sampler = make_sampler(recipe.sampler, recipe.seed, len(trials))
        self._study.pruner = make_pruner(recipe.pruner, recipe.epochs)
        completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        self._ranking = sorted((-(trial.value or 0.0), trial.number) for trial in completed)[:KEPT]

    @property
    def waiting(self) -> int:
        """Trials that are enqueued and that nobody has asked for."""
        return len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def enqueue(self, params: dict[str, Any]) -> None:
        """Propose these parameters next."""
        self._study.enqueue_trial(params)

    def ask(self) -> Trial:
        return self._study.ask()

    @staticmethod
    def retry_of(trial: Trial) -> Retry | None:
        """What this trial inherits, if it repeats another."""
        return _retry(trial.user_attrs)

    def enter(
        self,
        trial: Trial,
        proposal: Proposal,
        seed: int,
        outcome: Outcome,
        *,
        excess: float,
        reason: str | None = None,
        curve: Sequence[Epoch] = (),
        **columns: Any,
    ) -> None:
        """Record what a trial would train, and whether it will: it waits, does not fit, or is a duplicate.

        Args:
            excess: bytes needed over bytes allowed, less one; the sampler learns it.
            curve: of the trial that this one duplicates; the sampler learns it too.
            columns: others of `nas_trials`.
        """
        retry = self.retry_of(trial)
        row = {
            "study_uuid": self.uuid,
            "number": trial.number,
            "outcome": outcome,
            "reason": reason,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "seed": seed,
            "started_at": _now(),
            "retry_of": retry and retry.of,
            **columns,
        }
        if outcome is not Outcome.WAITING:
            row["finished_at"] = row["started_at"]
        self._storage.put(tables.trials, row)
        self.constrain(trial, MEMORY, excess)
        if outcome is not Outcome.WAITING:
            for epoch in curve:
                trial.report(epoch.val_accuracy, step=epoch.number)
            self._tell_optuna(trial.number, outcome, None)

    @staticmethod
    def constrain(trial: Trial, name: str, excess: float) -> None:
        """Tell the sampler how far a trial violates a constraint; not above 0 is feasible. Once for each."""
        trial.set_constraint(name, excess)

    def start(self, number: int, worker: int) -> None:
        """A worker has taken a trial that waited."""
        self._put(number, outcome=Outcome.RUNNING, worker=worker, started_at=_now())

    def describe(self, number: int, **columns: Any) -> None:
        """Add what the worker found out about a trial: its size, its device, its versions, its plan."""
        mine = (tables.trials.c.study_uuid == self.uuid) & (tables.trials.c.number == number)
        self._storage.write(update(tables.trials).where(mine).values(columns))

    def report(self, trial: Trial, epoch: Epoch) -> None:
        """Record one epoch. Numbers that are not finite become NULL.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: other hands have ended the trial in Optuna's tables.
        """
        row: dict[str, Any] = {name: _finite(value) for name, value in asdict(epoch).items()}
        row |= {"study_uuid": self.uuid, "number": trial.number, "epoch": row.pop("number")}
        self._storage.put(tables.epochs, row)
        trial.report(epoch.val_accuracy, step=epoch.number)

    def tell(
        self,
        number: int,
        outcome: Outcome,
        value: float | None = None,
        reason: str | None = None,
        retry_of: int | None = None,
    ) -> None:
        """End a trial.

        Args:
            value: validation accuracy in [0, 1]; given if and only if the trial completed.
            retry_of: number of the trial that it repeats, for one that ends before it was entered.
        """
        assert (value is not None) == (outcome is Outcome.COMPLETED)
        columns = {} if retry_of is None else {"retry_of": retry_of}
        self._put(number, outcome=outcome, value=value, reason=reason, finished_at=_now(), **columns)
        self._tell_optuna(number, outcome, value)
        if value is not None:
            self._ranking = sorted([*self._ranking, (-value, number)])[:KEPT]

    def settle(self, trial: Trial) -> None:
        """End a trial that nobody drives any more: as our row says, else as interrupted."""
        columns = tables.trials.c
        query = select(columns.outcome, columns.value, columns.predicted)
        mine = (columns.study_uuid == self.uuid) & (columns.number == trial.number)
        row = next(iter(self._storage.read(query.where(mine))), None)
        if row is None or row["outcome"] in (Outcome.RUNNING, Outcome.WAITING):
            retry = self.retry_of(trial)
            of = retry.of if retry else None
            self.tell(trial.number, Outcome.INTERRUPTED, reason="the search stopped", retry_of=of)
            return
        with suppress(UpdateFinishedTrialError):
            if row["predicted"] and self.memory_cap and not trial.constraints:
                trial.set_constraint(MEMORY, row["predicted"] / self.memory_cap - 1)
        self._tell_optuna(trial.number, Outcome(row["outcome"]), row["value"])

    def retry(self, retry: Retry, params: dict[str, Any]) -> None:
        """Propose the parameters of an interrupted trial again, before any other."""
        self._study.enqueue_trial(params, user_attrs={RETRY_OF: asdict(retry)})

    def keep_best_weights(self, running: set[int]) -> None:
        """Remove all weights but those of the best three trials and of trials that still run."""
        keep_only(self.folder, {number for _, number in self._ranking} | running)

    # --------------------------------------------------------------------------------------------------

    def _retry_interrupted(self) -> list[Retry]:
        """Enqueue every interrupted trial that no other trial repeats yet. Returns all that wait."""
        trials = self._study.get_trials(deepcopy=False)
        retries = {trial.number: _retry(trial.user_attrs) for trial in trials}
        repeated = {retry.of for retry in retries.values() if retry}
        for record in self.trials():
            number = record.number
            if record.outcome is Outcome.INTERRUPTED and number not in repeated:
                before = retries[number] or Retry(of=number, origin=number)
                deaths = max(before.deaths, record.deaths or 0)  # the column is empty until one more dies
                wanted = trials[number].system_attrs.get("fixed_params", {})  # it may have ended in suggest
                self.retry(replace(before, of=number, deaths=deaths), wanted | record.params)
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return [retry for trial in waiting if (retry := _retry(trial.user_attrs))]

    def _tell_optuna(self, number: int, outcome: Outcome, value: float | None) -> None:
        self._study.tell(number, value, state=outcome.state, skip_if_finished=True)

    def _set(self, **columns: Any) -> None:
        mine = tables.studies.c.study_uuid == self.uuid
        self._storage.write(update(tables.studies).where(mine).values(columns))
        self.row.update(columns)

    def _put(self, number: int, **columns: Any) -> None:
        """Also of a trial that ends before it was entered, because its proposal failed."""
        self._storage.put(tables.trials, {"study_uuid": self.uuid, "number": number, **columns})


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


def _retry(user_attrs: Mapping[str, Any]) -> Retry | None:
    match user_attrs.get(RETRY_OF):
        case None:
            return None
        case int(number):  # of a nas without checkpoints
            return Retry(of=number, origin=number)
        case content:
            return Retry(**content)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
