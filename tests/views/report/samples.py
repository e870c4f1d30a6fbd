"""Studies of any size to report on, written into the database at once: nothing is trained."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, Trial, create_trial
from sqlalchemy import MetaData, Table, func, insert, select

from nas.api.study import Study
from nas.recipe import Recipe
from nas.space import DataInfo, Proposal
from nas.space.load import load_space
from nas.study import tables
from nas.study.database import make_folder, open_database, storage_url
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter

INFO: dict[str, Any] = {
    "name": "cifar10",
    "shape": [3, 32, 32],
    "num_classes": 10,
    "num_train": 45000,
    "num_val": 5000,
    "augmentations": ["shift", "flip", "cutout"],
}

DATA: dict[str, Any] = {
    "info": INFO,
    "classes": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "counts": {"train": 45000, "val": 5000, "test": 10000},
    "fingerprint": "0f" * 32,
    "split_digest": "ab" * 32,
    "mean": [0.49, 0.48, 0.45],
    "std": [0.25, 0.24, 0.26],
    "notes": [],
}

START = datetime(2026, 3, 1, 9)

Ending = tuple[Outcome, str | None]

Made = tuple[FrozenTrial, dict[str, Any], list[dict[str, Any]]]
"""A trial, its row and the rows of its epochs."""

ENDINGS: dict[Ending, int] = {
    (Outcome.COMPLETED, None): 30,
    (Outcome.PRUNED, "pruner: 0.4123 after epoch 3"): 50,
    (Outcome.PRUNED, "diverged: the loss is nan"): 4,
    (Outcome.DOES_NOT_FIT, "needs 6.2 GiB of 4 GiB"): 8,
    (Outcome.DUPLICATE, "the same as trial 3"): 3,
    (Outcome.FAILED, "RuntimeError: a worker died"): 2,
    (Outcome.INTERRUPTED, "the search stopped"): 2,
}
"""How trials end, with how often of about a hundred."""


def sample_study(
    folder: Path, trials: int, epochs: int = 12, name: str = "cnn_fc-cifar10", space: str = "cnn_fc"
) -> Study:
    """A study whose trials ended in every way, with learning curves that look real; the same each time."""
    recipe = Recipe.load(
        space=space, data="cifar10", study=name, trials=max(1, trials), epochs=epochs, folder=folder
    )
    make_folder(folder / name)
    storage = open_database(storage_url(None, folder), create=True)
    found = load_space(space)
    store = StudyWriter.create(storage, name, folder, recipe, found.version, DATA, memory_cap=4 * 2**30)
    maker = _Maker(found.suggest, epochs)
    _fill(store, [maker.trial(number) for number in range(trials)])
    return Study(store)


def add_baseline(study: Study, space: str) -> None:
    """Train a baseline for a study, as it were."""
    recipe = study.store.recipe.model_copy(update={"space": space, "study": f"{study.name}-{space}"})
    store = study.store.add_companion(f"{study.name}-{space}", recipe, 1)
    maker = _Maker(load_space(space).suggest, recipe.epochs)
    _fill(store, [maker.trial(0, (Outcome.COMPLETED, None))])


def _fill(store: StudyWriter, made: list[Made]) -> None:
    with store.engine.begin() as connection:
        for table, rows in (
            *_optuna_rows(store, [frozen for frozen, _, _ in made]),
            (tables.trials, [row | {"study_uuid": store.uuid} for _, row, _ in made]),
            (tables.epochs, [epoch | {"study_uuid": store.uuid} for _, _, curve in made for epoch in curve]),
        ):
            if rows:
                connection.execute(insert(table), rows)


def _optuna_rows(
    store: StudyWriter, trials: list[FrozenTrial]
) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Optuna's own tables, filled at once: its `add_trials` takes a minute for a thousand."""
    schema = MetaData()
    schema.reflect(store.engine)
    with store.engine.connect() as connection:
        first = (connection.scalar(select(func.max(schema.tables["trials"].c.trial_id))) or 0) + 1
        studies = schema.tables["studies"].c
        identity = connection.scalar(select(studies.study_id).where(studies.study_name == store.name))
    yield (
        schema.tables["trials"],
        [
            {"trial_id": first + number, "number": number, "study_id": identity, "state": trial.state.name}
            for number, trial in enumerate(trials)
        ],
    )
    yield (
        schema.tables["trial_params"],
        [
            {
                "trial_id": first + number,
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for number, trial in enumerate(trials)
            for name, distribution in trial.distributions.items()
        ],
    )
    yield (
        schema.tables["trial_values"],
        [
            {"trial_id": first + number, "objective": 0, "value": trial.value, "value_type": "FINITE"}
            for number, trial in enumerate(trials)
            if trial.value is not None
        ],
    )


class _Maker:
    """Makes trials one after the other on three workers."""

    def __init__(self, suggest: Any, epochs: int) -> None:
        self.suggest = suggest
        self.epochs = epochs
        self.random = random.Random(7)
        self.study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=7))
        self.info = DataInfo(**INFO | {key: tuple(INFO[key]) for key in ("shape", "augmentations")})
        self.free = [START] * 3

    def trial(self, number: int, ending: Ending | None = None) -> Made:
        asked = self.study.ask()
        proposal = self.suggest(asked, self.info)
        outcome, reason = ending or self.random.choices(list(ENDINGS), list(ENDINGS.values()))[0]
        untrained = outcome in (Outcome.DOES_NOT_FIT, Outcome.DUPLICATE, Outcome.FAILED)
        last = 0 if untrained else self.epochs
        if outcome in (Outcome.PRUNED, Outcome.INTERRUPTED):
            last = self.random.randint(1, max(1, self.epochs - 1))
        curve = self._curve(number, asked, proposal, last)
        value = curve[-1]["val_accuracy"] if outcome is Outcome.COMPLETED else None
        frozen = create_trial(
            state=outcome.state, value=value, params=asked.params, distributions=asked.distributions
        )
        worker = min(range(3), key=self.free.__getitem__)
        start = self.free[worker]
        end = start + timedelta(seconds=2 + sum(epoch["seconds"] for epoch in curve))
        self.free[worker] = end + timedelta(seconds=1)
        parameters = self._parameters(asked)
        row = {
            "number": number,
            "outcome": outcome,
            "reason": reason,
            "value": value,
            "num_parameters": parameters,
            "multiply_adds": 40 * parameters,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "seed": number,
            "worker": worker,
            "device": "Some GPU",
            "versions": {"nas": "0.1.0", "python": "3.11", "optuna": "5.0.0", "torch": "2.13.0"},
            "started_at": start,
            "finished_at": end,
            "retry_of": None,
            "predicted": 2**29 + 1000 * parameters,
            "predicted_memory": {"parameters": 4 * parameters, "context": 2**28},
            "predicted_seconds": 1.2,
            "plan": {"micro_batch": 128, "accumulation": 1, "checkpointing": False},
        }
        return frozen, row, curve

    def _parameters(self, asked: Trial) -> int:
        return int(20_000 * 2 ** (5 * abs(math.sin(asked.number))))

    def _curve(self, number: int, asked: Trial, proposal: Proposal, last: int) -> list[dict[str, Any]]:
        rate = proposal.training.learning_rate
        final = 0.86 - 0.08 * abs(math.log10(rate) + 2) - 0.1 * self.random.random() ** 2
        peak = 2**29 + int(1000 * self._parameters(asked) * self.random.uniform(0.93, 1.05))
        speed = self.random.uniform(8, 20)
        return [
            {
                "number": number,
                "epoch": epoch,
                "train_loss": 2.3 * math.exp(-epoch / 6),
                "val_loss": 2.3 * math.exp(-epoch / 8),
                "val_accuracy": max(0.1, final - 0.5 * math.exp(-epoch / 3) + self.random.gauss(0, 0.008)),
                "learning_rate": rate,
                "seconds": speed,
                "images_per_second": 45000 / (0.9 * speed),
                "peak_allocated": peak - 2**28,
                "peak_reserved": None,
                "peak_resident": peak,
            }
            for epoch in range(1, last + 1)
        ]
