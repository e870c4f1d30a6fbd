"""Studies as a driver would leave them in SQL, without training: what a dashboard is shown."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import insert, update

from nas.recipe import Recipe
from nas.space.load import load_space
from nas.study import tables
from nas.study.database import open_database, storage_url
from nas.study.outcome import Outcome
from nas.study.writer import UUID
from tests.conftest import DIGITS

MIB = 2**20
PARTS = {"parameters": 1 * MIB, "activations": 20 * MIB, "context": 299 * MIB}


class Sample:
    """A study in a database of its own, or in `storage`."""

    def __init__(
        self, folder: Path, name: str = "study", *, space: str = "mlp", storage: RDBStorage | None = None
    ) -> None:
        self.folder = folder
        self.name = name
        self.storage = storage or open_database(storage_url(None, folder), create=True)
        self.space = load_space(space)
        self.uuid = str(uuid.uuid4())
        self.study = optuna.create_study(
            study_name=name,
            storage=self.storage,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=1),
        )
        self.study.set_user_attr(UUID, self.uuid)
        self.study_id: int = self.study._study_id
        self.recipe = Recipe.load(space=space, study=name, trials=12, epochs=4, threads=1)
        info = {key: getattr(DIGITS, key) for key in DIGITS.__dataclass_fields__}
        self._insert(
            tables.studies,
            name=name,
            created_at=now(),
            recipe=self.recipe.model_dump(mode="json"),
            space_version=self.space.version,
            data={"info": info, "classes": [str(digit) for digit in range(10)]},
            versions={},
            memory_cap=1024 * MIB,
        )

    def start(self, *, accuracies: Sequence[float] = (), **columns: Any) -> int:
        """A trial that runs; its number."""
        trial = self.study.ask()
        proposal = self.space.suggest(trial, DIGITS)
        row = {
            "outcome": Outcome.RUNNING,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "seed": 7,
            "worker": trial.number % 2,
            "device": "cpu",
            "num_parameters": 1000 * (1 + trial.number),
            "multiply_adds": 2000,
            "started_at": now() - timedelta(seconds=30),
            "plan": {"micro_batch": 32, "accumulation": 4, "checkpointing": False},
            "predicted_memory": PARTS,
            "predicted_seconds": 2.0,
            "predicted": sum(PARTS.values()),
        }
        self._insert(tables.trials, number=trial.number, **row | columns)
        for accuracy in accuracies:
            self.train(trial.number, accuracy)
        return trial.number

    def train(self, number: int, accuracy: float) -> None:
        """One more epoch of a trial that runs."""
        trial = self.study.get_trials(deepcopy=False)[number]
        epoch = len(trial.intermediate_values) + 1
        self._insert(
            tables.epochs,
            number=number,
            epoch=epoch,
            train_loss=1.0,
            val_loss=1.0,
            val_accuracy=accuracy,
            learning_rate=0.1,
            seconds=1.0,
            images_per_second=1257.0,
            peak_allocated=25 * MIB,
            peak_resident=301 * MIB,
        )
        self.storage.set_trial_intermediate_value(trial._trial_id, epoch, accuracy)

    def end(
        self, number: int, outcome: Outcome, *, value: float | None = None, reason: str | None = None
    ) -> None:
        mine = (tables.trials.c.study_uuid == self.uuid) & (tables.trials.c.number == number)
        columns = {"outcome": outcome, "value": value, "reason": reason, "finished_at": now()}
        with self.storage.engine.begin() as connection:
            connection.execute(update(tables.trials).where(mine).values(columns))
        self.study.tell(number, value, state=outcome.state)

    def complete(self, *accuracies: float, **columns: Any) -> int:
        """A trial that completed with the last of these accuracies."""
        number = self.start(accuracies=accuracies, **columns)
        self.end(number, Outcome.COMPLETED, value=accuracies[-1])
        return number

    def prune(self, *accuracies: float, reason: str = "pruner: 0.5000 after epoch 2") -> int:
        number = self.start(accuracies=accuracies)
        self.end(number, Outcome.PRUNED, reason=reason)
        return number

    def set_recipe(self, **settings: Any) -> None:
        """As a run does that continues the study."""
        self.set(recipe=self.recipe.model_dump(mode="json") | settings)

    def set(self, **columns: Any) -> None:
        """Columns of the study."""
        with self.storage.engine.begin() as connection:
            mine = tables.studies.c.study_uuid == self.uuid
            connection.execute(update(tables.studies).where(mine).values(columns))

    def _insert(self, table: Any, **row: Any) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(insert(table).values(study_uuid=self.uuid, **row))


def now() -> datetime:
    """UTC, as it is stored."""
    return datetime.now(UTC).replace(tzinfo=None)
