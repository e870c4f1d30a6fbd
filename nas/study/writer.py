"""What the driver writes of a study: one is created, asked, reported to and told here.

Each fact is written to our tables first and told to Optuna second, so that a driver that dies between the two
leaves a trial that the next one, in `begin`, can finish telling.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import column, select, table, update

from nas.machine.versions import versions
from nas.metrics.base import Rows
from nas.recipe import Recipe
from nas.samplers.base import make_sampler
from nas.space import Proposal
from nas.study import tables
from nas.study.clock import now
from nas.study.database import make_folder, redacted
from nas.study.outcome import Outcome
from nas.study.reader import UUID, StudyReader, space_facts
from nas.study.retries import Retry, unrepeated
from nas.study.retrying_storage import RetryingStorage
from nas.study.trial_files import KEPT, keep_only
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport

MEMORY = "memory"
"""The constraint on every trial: bytes needed over bytes allowed, less one."""

TIME = "seconds"
"""The constraint on every trial that time limits: seconds needed over seconds allowed, less one."""

OUT_OF_MEMORY = "oom"
"""The constraint on a trial that no plan could train, though the prediction said so."""


OPTUNAS = table("studies", column("study_name"))


class StudyWriter(StudyReader):
    """A study that a driver owns. `StudyWriter.create` makes one."""

    def __init__(self, storage: RetryingStorage, name: str, folder: Path) -> None:
        super().__init__(storage, name, folder)
        self._ranking: list[tuple[float, int]] = []
        """(-value, number) of the best trials."""
        self._sampler = self._study.sampler
        """The sampler that the recipe names."""

    @classmethod
    def create(
        cls,
        storage: RetryingStorage,
        name: str,
        folder: Path,
        recipe: Recipe,
        space_version: int,
        data: dict[str, Any],
        memory_cap: int | None = None,
        companion_of: str | None = None,
        starts: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """A new study with everything that rebuilds its trials.

        It appears all at once: until its last transaction it has no name that anybody would look for.

        Args:
            memory_cap: bytes.
            companion_of: UUID of the study that this one trains a baseline for.
            starts: parameters of its first trials; the sampler draws those that one leaves out.
        """
        identity = str(uuid.uuid4())
        row = {
            "study_uuid": identity,
            "name": name,
            "metric": recipe.metric,
            "created_at": now(),
            "recipe": _storable(recipe),
            "space_version": space_version,
            "data": data,
            "versions": versions(),
            "memory_cap": memory_cap,
            "companion_of": companion_of,
        }
        study = optuna.create_study(study_name=identity, storage=storage, direction="maximize")
        study.set_user_attr(UUID, identity)
        for params in starts:
            study.enqueue_trial(dict(params))
        named = update(OPTUNAS).where(OPTUNAS.c.study_name == identity).values(study_name=name)
        storage.put(tables.studies, row, named)
        return cls(storage, name, folder)

    def add_companion(
        self, name: str, recipe: Recipe, space_version: int, space_digest: str | None = None
    ) -> Self:
        """A study for a baseline, on the same data and under the same memory cap."""
        make_folder(self.folder.parent / name)
        return self.create(
            self._storage,
            name,
            self.folder.parent,
            recipe,
            space_version,
            self.data | space_facts(space_digest, self.folder.parent),
            self.memory_cap,
            companion_of=self.uuid,
            starts=[{}],
        )

    def take_over(self, recipe: Recipe, memory_cap: int | None) -> None:
        """Store the settings of the run that continues this study."""
        self._set(recipe=_storable(recipe), memory_cap=memory_cap)

    def take_over_space(self, source: str, digest: str | None) -> None:
        """Store where its search space lies now, and what it is known by."""
        recipe, data = (
            self.row["recipe"] | {"space": source},
            self.data | space_facts(digest, self.folder.parent),
        )
        if (recipe, data) != (self.row["recipe"], self.data):
            self._set(recipe=recipe, data=data)

    def run_begins(self, devices: Sequence[str], budgets: Mapping[str, int]) -> None:
        """Tell those who watch the device of each worker, and bytes by device."""
        self._set(devices=list(devices), budgets=dict(budgets), ended=None, forecast=None, searched_at=now())

    def run_expects(self, forecast: dict[str, Any]) -> None:
        """Tell those who watch what the run is likely to take."""
        self._set(forecast=forecast)

    def run_ends(self, why: str) -> None:
        """Tell those who watch why."""
        self._set(ended=why)

    def keep_calibration(self, device: str, content: dict[str, Any]) -> None:
        """Store what the memory of a device has taught."""
        self._set(calibration=self.calibration | {device: content})

    def begin(self) -> None:
        """Get ready to ask: settle what an earlier driver left behind, then choose the sampler."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.settle(Trial(self._study, frozen._trial_id))
        for retry, params in unrepeated(self._study.get_trials(deepcopy=False), self.trials()):
            self._study.enqueue_trial(params, user_attrs=retry.user_attrs)
        waiting = [Retry.read(trial.user_attrs) for trial in self._waiting]
        keep_only("checkpoints", self.folder, {retry.origin for retry in waiting if retry})
        recipe, trials = self.recipe, self._study.get_trials(deepcopy=False)
        self._study.sampler = self._sampler = make_sampler(recipe.sampler, recipe.seed, len(trials))
        completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        self._ranking = sorted((-(trial.value or 0.0), trial.number) for trial in completed)[:KEPT]

    @property
    def waiting(self) -> int:
        """Trials that are enqueued and that nobody has asked for."""
        return len(self._waiting)

    @property
    def enqueued(self) -> list[dict[str, Any]]:
        """Their parameters, in the order in which they are asked for; the sampler draws what they lack."""
        return [trial.system_attrs.get("fixed_params", {}) for trial in self._waiting]

    def enqueue(self, params: dict[str, Any]) -> None:
        """Propose these parameters next."""
        self._study.enqueue_trial(params)

    @property
    def constraints(self) -> dict[int, dict[str, float]]:
        """What the sampler was told of every trial, by its number."""
        return {trial.number: trial.constraints for trial in self._study.get_trials(deepcopy=False)}

    def ask(self, *, at_random: bool = False) -> Trial:
        """The next trial.

        Args:
            at_random: drawn by chance, whatever the sampler has learned.
        """
        if at_random and self._study.sampler is self._sampler and self.recipe.sampler != "random":
            trials_so_far = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = make_sampler("random", self.recipe.seed, trials_so_far)
        elif not at_random:
            self._study.sampler = self._sampler
        return self._study.ask()

    def enter(
        self,
        trial: Trial,
        proposal: Proposal,
        seed: int,
        outcome: Outcome,
        *,
        excess: float,
        constraints: Mapping[str, float] | None = None,
        reason: str | None = None,
        curve: Sequence[Epoch] = (),
        **columns: Any,
    ) -> None:
        """Record what a trial would train, and whether it will: it waits, does not fit, or is a duplicate.

        Args:
            excess: bytes needed over bytes allowed, less one; the sampler learns it.
            constraints: others that it learns, by name.
            curve: of the trial that this one duplicates; the sampler learns it too.
            columns: others of `nas_trials`.
        """
        retry = Retry.read(trial.user_attrs)
        row = {
            "study_uuid": self.uuid,
            "number": trial.number,
            "outcome": outcome,
            "reason": reason,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "seed": seed,
            "started_at": now(),
            "retry_of": retry and retry.of,
            **columns,
        }
        if outcome is not Outcome.WAITING:
            row["finished_at"] = row["started_at"]
        self._storage.put(tables.trials, row)
        for name, violation in {**(constraints or {}), MEMORY: excess}.items():
            trial.set_constraint(name, violation)
        if outcome is not Outcome.WAITING:
            for epoch in curve:
                trial.report(epoch.value, step=epoch.number)
            self._tell_optuna(trial.number, outcome, None)

    def start(self, number: int, worker: int) -> None:
        """A worker has taken a trial that waited."""
        devices = self.row["devices"] or []
        placed_on = devices[worker] if worker < len(devices) else None
        self._put(number, outcome=Outcome.RUNNING, worker=worker, placed_on=placed_on, started_at=now())

    def describe(self, number: int, **columns: Any) -> None:
        """Add what the worker found out about a trial: its size, its device, its versions, its plan."""
        mine = (tables.trials.c.study_uuid == self.uuid) & (tables.trials.c.number == number)
        self._storage.write(update(tables.trials).where(mine).values(columns))

    def keep_progress(self, progress: Mapping[int, float]) -> None:
        """Tell those who look how far running trials are: epochs, and the part of the next one, by number."""
        mine, columns = tables.trials.c.study_uuid == self.uuid, tables.trials.c
        rows = (
            update(tables.trials).where(mine, columns.number == number).values(progress=epochs)
            for number, epochs in progress.items()
        )
        self._storage.write(*rows)

    def report(self, trial: Trial, epoch: Epoch) -> None:
        """Record one epoch. Numbers that are not finite become NULL.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: other hands have ended the trial in Optuna's tables.
        """
        row: dict[str, Any] = {name: _finite(value) for name, value in vars(epoch).items()}
        row |= {"study_uuid": self.uuid, "number": trial.number, "epoch": row.pop("number")}
        self._storage.put(tables.epochs, row)
        trial.report(epoch.value, step=epoch.number)

    def keep_counts(self, number: int, epoch: int, by_class: Rows) -> None:
        """Record how the validation images were classified after an epoch of a trial."""
        row = {"study_uuid": self.uuid, "number": number, "epoch": epoch, "by_class": by_class}
        self._storage.put(tables.counts, row)

    def report_partly(self, number: int, report: PartialReport) -> None:
        """Record a report within the first epoch, of which Optuna is not told: its steps are epochs."""
        self._storage.put(tables.partial_reports, {"study_uuid": self.uuid, "number": number, **vars(report)})

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
            value: the metric after the last epoch, in [0, 1]; given if and only if the trial completed.
            retry_of: number of the trial that it repeats, for one that ends before it was entered.
        """
        assert (value is not None) == (outcome is Outcome.COMPLETED)
        columns = {} if retry_of is None else {"retry_of": retry_of}
        self._storage.patiently(self._storage.check_lock)  # before our row, which others read
        self._put(number, outcome=outcome, value=value, reason=reason, finished_at=now(), **columns)
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
            retry = Retry.read(trial.user_attrs)
            of = retry.of if retry else None
            self.tell(trial.number, Outcome.INTERRUPTED, reason="the search stopped", retry_of=of)
            return
        with suppress(UpdateFinishedTrialError):
            if row["predicted"] and self.memory_cap and not trial.constraints:
                trial.set_constraint(MEMORY, row["predicted"] / self.memory_cap - 1)
        self._tell_optuna(trial.number, Outcome(row["outcome"]), row["value"])

    def keep_best_weights(self, running: set[int]) -> None:
        """Remove all weights but those of the best three trials and of trials that still run."""
        keep_only("weights", self.folder, {number for _, number in self._ranking} | running)

    # --------------------------------------------------------------------------------------------------

    @property
    def _waiting(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _tell_optuna(self, number: int, outcome: Outcome, value: float | None) -> None:
        self._study.tell(number, value, state=outcome.state, skip_if_finished=True)

    def _set(self, **columns: Any) -> None:
        mine = tables.studies.c.study_uuid == self.uuid
        self._storage.write(update(tables.studies).where(mine).values(columns))
        self.row.update(columns)

    def _put(self, number: int, **columns: Any) -> None:
        """Also of a trial that ends before it was entered, because its proposal failed."""
        self._storage.put(tables.trials, {"study_uuid": self.uuid, "number": number, **columns})


def _storable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON, without the password of its database."""
    content = recipe.model_dump(mode="json")
    return content | {"storage": recipe.storage and redacted(recipe.storage)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
