"""What the driver itself costs: CPU time per trial beside Optuna's, and how busy it keeps many workers.

    python tests/benchmarks/driver.py [--finished 10 1000 5000] [--databases sqlite postgresql]

Trials are trained by a script that answers at once. "Optuna" is the CPU time inside its ask, suggest, report,
prune, set_constraint and tell (TPE, median pruner, 12 epochs); "ours" is all the rest of the driver's
process: reading, writing our tables, events. The server's own time is not counted.

"Busy" is the share of their time that 16 workers train, whose trials take 30 seconds each, at 1,000 finished
trials. Their clock is simulated: it counts the driver's CPU time, so that a busy machine does not matter, and
what the driver would sleep. Waiting for the disk or the server does not pass on it.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from sqlalchemy import func, insert, select, text

sys.path.insert(0, str(Path(__file__).parents[2]))

from nas.engines.messages import Ended, Message, Task
from nas.events import TrialEnded
from nas.pruners._optuna import OptunaPruner
from nas.recipe import Recipe
from nas.space.load import Space, load_space
from nas.study import tables
from nas.study.database import make_folder, open_database
from nas.study.writer import StudyWriter
from tests.conftest import DIGITS
from tests.postgres import running_server
from tests.scripted import ScriptedEngine, learns, make_driver

EPOCHS, MEASURED = 12, 20
WORKERS, SECONDS, ROUNDS = 16, 30.0, 4


class OptunaClock:
    """CPU seconds spent inside Optuna's own calls, from outermost to return."""

    CALLS = (
        (optuna.Study, "ask"),
        (optuna.Study, "tell"),
        (optuna.Trial, "_suggest"),
        (optuna.Trial, "report"),
        (OptunaPruner, "stop"),
        (optuna.Trial, "set_constraint"),
    )

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False
        for owner, name in self.CALLS:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return method(*arguments, **named)
            began, self._inside = time.process_time(), True
            try:
                return method(*arguments, **named)
            finally:
                self.seconds += time.process_time() - began
                self._inside = False

        return timed


class SimulatedEngine(ScriptedEngine):
    """Workers whose epochs take their time, by a clock that skips what the driver would sleep."""

    def __init__(self, workers: int) -> None:
        super().__init__(lambda task: iter(()), workers)
        self._skipped = 0.0
        self._due: list[tuple[float, int, int, Message]] = []
        self._order = count()
        self._began: dict[int, float] = {}
        self.trained: list[tuple[float, float]] = []
        """When each trial began and ended."""

    def now(self) -> float:
        return time.process_time() + self._skipped

    def start(self, worker: int, task: Task) -> None:
        super().start(worker, task)
        self._began[worker] = now = self.now()
        script = [*learns(*[0.5 + 0.3 * step / EPOCHS for step in range(EPOCHS)])(task)]
        for step, message in enumerate(script, start=1):
            due = now + SECONDS * min(step, EPOCHS) / EPOCHS
            heapq.heappush(self._due, (due, next(self._order), worker, message))

    def stop(self, number: int, *, keep: bool = False) -> None:
        raise AssertionError("curves are alike: nothing is pruned")

    def messages(self, timeout: float) -> list[Message]:
        said = super().messages(timeout)
        if not said and self._due:
            self._skipped += max(0.0, min(self._due[0][0] - self.now(), timeout))
        while self._due and self._due[0][0] <= self.now():
            due, _, worker, message = heapq.heappop(self._due)
            said.append(message)
            if isinstance(message, Ended):
                self.tasks[worker] = None
                self.trained.append((self._began[worker], due))
        return said


def busy(trained: list[tuple[float, float]]) -> float:
    """Share of their time that workers train, from when all have their first trial to the last start."""
    begins = sorted(began for began, _ in trained)
    first, last = begins[WORKERS - 1], begins[-1]
    training = sum(max(0.0, min(ended, last) - max(began, first)) for began, ended in trained)
    return training / (WORKERS * (last - first))


def make_store(url: str, finished: int, folder: Path, space: Space) -> StudyWriter:
    """A study with so many finished trials of random proposals, written without asking for each."""
    name = f"finished-{finished}-{time.monotonic_ns()}"
    recipe = Recipe.load(space=space.name, study=name, pruner="median", epochs=EPOCHS, trials=10**6)
    storage = open_database(url, create=True)
    make_folder(folder / name)
    store = StudyWriter.create(storage, name, folder, recipe, 1, {})
    study_id = storage.get_study_id_from_name(name)
    first = (storage.read(select(func.max(models.TrialModel.trial_id).label("id")))[0]["id"] or 0) + 1
    rows: dict[Any, list[dict[str, Any]]] = {}
    sampled = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for number in range(finished):
        for table, row in finished_trial(store.uuid, study_id, first + number, number, sampled.ask(), space):
            rows.setdefault(table, []).append(row)
    with storage.engine.begin() as connection:
        for table, content in rows.items():
            connection.execute(insert(table), content)
        if storage.engine.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('trials_trial_id_seq', MAX(trial_id)) FROM trials"))
    store.begin()
    return store


def finished_trial(
    uuid: str, study_id: int, trial_id: int, number: int, trial: optuna.Trial, space: Space
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The rows of one completed trial, in Optuna's tables and in ours."""
    proposal, now = space.suggest(trial, DIGITS), datetime(2026, 1, 1)
    yield (
        models.TrialModel,
        {
            "trial_id": trial_id,
            "number": number,
            "study_id": study_id,
            "state": optuna.trial.TrialState.COMPLETE,
            "_datetime_start_utc": now,
            "_datetime_complete_utc": now,
        },
    )
    for name, distribution in trial.distributions.items():
        value = distribution.to_internal_repr(trial.params[name])
        parameter = {"param_name": name, "param_value": value}
        described = {"distribution_json": distribution_to_json(distribution)}
        yield models.TrialParamModel, {"trial_id": trial_id, **parameter, **described}
    accuracy = 0.3 + 0.6 * (number * 0.618 % 1)
    result = {"objective": 0, "value": accuracy, "value_type": models.TrialValueModel.TrialValueType.FINITE}
    yield models.TrialValueModel, {"trial_id": trial_id, **result}
    constraint = {"key": "constraints:memory", "value_json": "-0.9"}
    yield models.TrialSystemAttributeModel, {"trial_id": trial_id, **constraint}
    ours = {"study_uuid": uuid, "number": number}
    yield (
        tables.trials,
        ours
        | {
            "outcome": "completed",
            "value": accuracy,
            "proposal": proposal.description,
            "digest": proposal.digest,
            "started_at": now,
            "finished_at": now,
        },
    )
    kind = models.TrialIntermediateValueModel
    for step in range(1, EPOCHS + 1):
        reported = {"step": step, "intermediate_value": accuracy * step / EPOCHS}
        finite = {"intermediate_value_type": kind.TrialIntermediateValueType.FINITE}
        yield kind, {"trial_id": trial_id, **reported, **finite}
        yield tables.epochs, ours | {"epoch": step, "val_accuracy": accuracy * step / EPOCHS, "seconds": 1.0}


def cost_per_trial(store: StudyWriter, space: Space, clock: OptunaClock) -> tuple[float, float]:
    """CPU milliseconds per trial: (ours, Optuna's)."""
    driver = make_driver(store, space, ScriptedEngine(learns(*[0.99] * EPOCHS)))
    ended = (event for event in driver.run() if isinstance(event, TrialEnded))
    next(ended)  # what is read once does not count
    total, optunas = time.process_time(), clock.seconds
    for _ in islice(ended, MEASURED):
        pass
    total, optunas = time.process_time() - total, clock.seconds - optunas
    driver.stop()
    for _ in ended:
        pass
    return 1e3 * (total - optunas) / MEASURED, 1e3 * optunas / MEASURED


def busy_workers(store: StudyWriter, space: Space) -> float:
    engine = SimulatedEngine(WORKERS)
    driver = make_driver(store, space, engine, budget=10**9)
    for event in driver.run():
        if isinstance(event, TrialEnded) and len(engine.trained) >= WORKERS * ROUNDS:
            break
    return busy(engine.trained)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/nas.db"
        return
    with running_server() as server:
        yield server.new_database()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--finished", type=int, nargs="+", default=[10, 1000, 5000])
    arguments.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    arguments.add_argument("--space", default="cnn_fc")
    asked = arguments.parse_args()
    space, clock = load_space(asked.space), OptunaClock()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for kind in asked.databases:
        with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
            for finished in asked.finished:
                store = make_store(url, finished, Path(folder), space)
                ours, optunas = cost_per_trial(store, space, clock)
                print(
                    f"{kind}, {finished} finished trials: {ours:.1f} ms ours, {optunas:.1f} ms Optuna's",
                    flush=True,
                )
            share = busy_workers(make_store(url, 1000, Path(folder), space), space)
            load = f"load of this machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            print(f"{kind}, {WORKERS} workers at 1000 finished trials: {share:.1%} busy ({load})", flush=True)


if __name__ == "__main__":
    main()
