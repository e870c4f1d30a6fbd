"""What many tests share: a cache of their own, a study in a temporary folder, and the command line."""

import functools
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic.util import pyfiles

from nas import cli
from nas.recipe import Recipe
from nas.space import DataInfo
from nas.space.load import Space, load_space
from nas.study import database
from nas.study.database import make_folder, open_database, storage_url
from nas.study.writer import StudyWriter
from tests import preloaded
from tests.postgres import database_url, postgres, postgres_url  # noqa: F401

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several test processes share the cores

preloaded.install()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it starts with &
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: no search for garbage passes through torch again."""
    gc.collect()
    gc.freeze()


Nas = Callable[..., tuple[int, str, str]]

SHOWN = ("torch.nn.", "tests.memory.networks")
"""Modules whose layers show all that they do."""

DIGITS = DataInfo(
    name="digits",
    shape=(1, 8, 8),
    num_classes=10,
    num_train=1257,
    num_val=270,
    augmentations=("shift", "cutout"),
)


CarefulConnection = database.WalConnection


class HastyConnection(CarefulConnection):
    """Waits for no disk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases are written as a user's are."""
    monkeypatch.setattr(database, "WalConnection", CarefulConnection)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the test run's own, in child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("NAS_CACHE", str(folder))
        patch.delenv("NAS_STORAGE", raising=False)
        patch.setattr("nas.exporters.verify.measuring.SECONDS", 0.02)  # of a latency that no test looks at
        patch.setattr(os, "fsync", lambda descriptor: None)  # no test outlives a power cut
        patch.setattr(database, "WalConnection", HastyConnection)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def migrations() -> Iterator[None]:
    """Optuna's ten migrations are compiled once, instead of three times for each database that is opened."""
    load = pyfiles.load_module_py
    once = functools.cache(load)

    def load_module(name: str, path: Path) -> ModuleType:
        return load(name, path) if name == "env_py" else once(name, path)  # to load env.py is to migrate

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyfiles, "load_module_py", load_module)
        yield


@pytest.fixture(scope="session", autouse=True)
def looked_at_once() -> Iterator[None]:
    """What a space of ours asks for is found once, and a network of torch's own layers is traced once."""
    from nas.driver import starts
    from nas.memory import plan

    parameters, trace = starts.parameters, plan.trace_training
    found: dict[object, Any] = {}

    def parameters_once(space: Space, data: DataInfo) -> Any:
        if space.is_theirs:
            return parameters(space, data)
        asked = (space.name, space.version, str(space.training), data)
        if asked not in found:
            found[asked] = tuple(parameters(space, data))
        return list(found[asked])

    def traced_once(network: Any, shape: Any, training: Any, **how: Any) -> Any:
        if not all(type(module).__module__.startswith(SHOWN) for module in network.modules()):
            return trace(network, shape, training, **how)
        weights = tuple(
            (name, weight.shape, weight.dtype, weight.requires_grad)
            for name, weight in network.named_parameters()
        )
        asked = (str(network), weights, shape, training, tuple(sorted(how.items())))
        if asked not in found:
            found[asked] = trace(network, shape, training, **how)
        return found[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starts, "parameters", parameters_once)
        patch.setattr(plan, "trace_training", traced_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def outlives_commands() -> Iterator[None]:
    """This process does not end with a command, whoever may still be planning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.machine.ending._planning", list)
        yield


@pytest.fixture
def real_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start as they do for a user, and are no forks of one that has imported torch."""
    monkeypatch.setattr(subprocess, "Popen", preloaded.Real)


@pytest.fixture(scope="session")
def mlp() -> Space:
    return load_space("mlp")


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., StudyWriter]:
    """Creates a study with the given settings, ready to ask."""

    def make(
        name: str = "study", *, sampler: str = "random", pruner: str = "none", **settings: Any
    ) -> StudyWriter:
        recipe = Recipe.load(
            study=name, sampler=sampler, pruner=pruner, threads=1, **{"space": "mlp"} | settings
        )
        storage = open_database(storage_url(None, tmp_path), create=True)
        make_folder(tmp_path / name)
        store = StudyWriter.create(storage, name, tmp_path, recipe, 1, {"info": asdict(DIGITS)})
        store.begin()
        return store

    return make


@pytest.fixture
def own_sigint() -> Iterator[None]:
    """A SIGINT that finds no search any more fails this test, instead of ending the whole run."""
    late: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: late.append(number))
    yield
    signal.signal(signal.SIGINT, before)
    assert not late, "the search had ended before it could be stopped"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started: whatever can be planned learns the same, but leaves no weights."""
    from tests.scripted import ScriptedEngine, learns

    monkeypatch.setattr(
        "nas.engines.kinds.local.LocalEngine", lambda setup, devices, folder: ScriptedEngine(learns(0.5, 0.6))
    )


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Run a command in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return int(exit.value.code or 0), out, err

    return run
