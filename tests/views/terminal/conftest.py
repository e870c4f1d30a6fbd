"""A study with one trial of every ending."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nas.api.study import Study
from nas.recipe import Recipe
from nas.space import DataInfo
from nas.space.load import Space
from nas.study.database import make_folder, open_database, storage_url
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from tests.views.terminal.samples import INFO, epoch

Endings = list[tuple[Outcome, float | None, str | None]]

ENDINGS: Endings = [
    (Outcome.COMPLETED, 0.75, None),
    (Outcome.COMPLETED, 0.875, None),
    (Outcome.PRUNED, None, "flat: no better than epoch 1 for 2 epochs"),
    (Outcome.FAILED, None, "OutOfMemoryError: tried to allocate 2 GiB"),
    (Outcome.INTERRUPTED, None, "the search stopped"),
]

UNTRAINED = {Outcome.DOES_NOT_FIT: 0.5, Outcome.DUPLICATE: -0.5}
"""Bytes over the memory cap, as a share of it."""


def study_in(folder: Path, space: Space, endings: Endings | None = None, name: str = "mlp-digits") -> Study:
    """A study whose trials, of three epochs each, ended as listed; its trial 1 has kept its weights."""
    recipe = Recipe.load(
        space="mlp", study=name, sampler="random", pruner="none", epochs=3, precision="fp32", folder=folder
    )
    make_folder(folder / name / "weights")
    (folder / name / "weights" / "trial-00001.safetensors").touch()
    storage = open_database(storage_url(None, folder), create=True)
    store = StudyWriter.create(storage, name, folder, recipe, 1, {"info": INFO, "notes": []})
    store.begin()
    info = DataInfo(**INFO | {name: tuple(INFO[name]) for name in ("shape", "augmentations")})
    for outcome, value, reason in ENDINGS if endings is None else endings:
        trial = store.ask()
        proposal = space.suggest(trial, info)
        if outcome in UNTRAINED:
            store.enter(trial, proposal, 7, outcome, excess=UNTRAINED[outcome], reason=reason)
            continue
        store.enter(trial, proposal, 7, Outcome.WAITING, excess=-0.5)
        store.start(trial.number, worker=0)
        store.describe(
            trial.number,
            num_parameters=123456,
            multiply_adds=1410000,
            device="cuda",
            plan={"micro_batch": 32, "accumulation": 4, "checkpointing": True},
            predicted_memory={"context": 100 * 2**20, "activations": 200 * 2**20},
            predicted=300 * 2**20,
        )
        for number in (1, 2, 3):
            store.report(trial, epoch(number, number / 10))
        store.tell(trial.number, outcome, value, reason)
    return Study(store)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, mlp: Space) -> Study:
    """A study to look at."""
    return study_in(tmp_path_factory.mktemp("studies"), mlp)


@pytest.fixture
def make_study(tmp_path: Path, mlp: Space) -> Callable[..., Study]:
    """A study of one's own, with other endings, in another place or of another name."""
    return lambda *endings, folder=tmp_path, **settings: study_in(folder, mlp, *endings, **settings)
