"""Whatever happens on the way, a search ends in the same set of outcomes: budgets, retries, resumption."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nas.driver.driver import RETRIES
from nas.engines.messages import Died, Ended, Message, Task
from nas.errors import SearchFailed
from nas.events import SearchEnded
from nas.recipe import Recipe
from nas.space import Proposal
from nas.space.load import Space, load_space
from nas.study.database import make_folder, open_database
from nas.study.outcome import Outcome
from nas.study.retrying_storage import RetryingStorage
from nas.study.writer import StudyWriter
from tests.chaos.aftermath import check_records
from tests.grids import first_of
from tests.scripted import ScriptedEngine, epoch, make_driver

SPACE = """
from search_spaces.mlp import Mlp
from nas.space import Proposal, Training

def suggest(trial, data):
    units = 1 + trial.suggest_int("x", 0, 5)
    network = Mlp(fc_units=(units,), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(network, Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""

EPOCHS, TRIALS, PATIENCE = 4, 5, 2
FLAT, DIVERGING, LARGE, TOO_LARGE = 2, 3, 4, 5
"""Of the six proposals. The large one trains in smaller batches alone; the others complete."""

EXPECTED = {
    (0, Outcome.COMPLETED, (0.1, 0.2, 0.3, 0.4)),
    (1, Outcome.COMPLETED, (0.11, 0.21, 0.31, 0.41)),
    (FLAT, Outcome.PRUNED, (0.9, 0.9, 0.9)),
    (DIVERGING, Outcome.PRUNED, (0.13,)),
    (LARGE, Outcome.COMPLETED, (0.14, 0.24, 0.34, 0.44)),
}


class Killed(BaseException):
    """As SIGKILL: nothing is written any more."""


@dataclass(frozen=True)
class Kill:
    """The driver at an operation of its database, which is done or not."""

    operation: int
    done: bool


@dataclass(frozen=True)
class Stop:
    """As SIGTERM: after so many events."""

    events: int


class FatefulEngine(ScriptedEngine):
    """Trials learn what they must and leave checkpoints; each epoch meets the next of the fates."""

    def __init__(self, fates: Iterator[str], deaths: Counter[str], workers: int) -> None:
        """`deaths`: of workers, by the checkpoint of their trial."""
        super().__init__(self._train, workers)
        self._fates = fates
        self._deaths = deaths

    def stop(self, number: int, *, keep: bool = False) -> None:
        for worker, task in enumerate(self.tasks):
            if task is not None and task.number == number:
                self._plays[worker] = iter([Ended(number=number, how="stopped")])

    def _train(self, task: Task) -> Iterator[Message]:
        x, file, number = task.params["x"], Path(task.checkpoint), task.number
        trained = 0
        if file.exists():
            whose, trained = map(int, file.read_text().split())
            assert whose == x, "a checkpoint of another trial"
        for step in range(1, trained + 1):
            yield epoch(number, step, accuracy(x, step), again=True)
        for step in range(trained + 1, EPOCHS + 1):
            fate = next(self._fates, "saves")
            out_of_memory = fate == "runs out of memory" and task.plan.accumulation < 4
            if out_of_memory or (x == LARGE and step == 3 and task.plan.accumulation == 1):
                yield Ended(number=number, how="out of memory", reason="too large")
                return
            if fate == "dies":
                yield self._death(task)
                return
            if x == DIVERGING and step == 2:
                yield Ended(number=number, how="diverged", reason="too much")
                return
            if fate.startswith("saves"):
                file.parent.mkdir(exist_ok=True)
                file.write_text(f"{x} {step}")
            if fate != "saves and dies":
                yield epoch(number, step, accuracy(x, step))
            if fate.endswith("and dies"):
                yield self._death(task)
                return
        yield Ended(number=number, how="completed")

    def _death(self, task: Task) -> Died:
        self._deaths[task.checkpoint] += 1
        return Died(worker=self.tasks.index(task), number=task.number, reason="killed")


def accuracy(x: int, step: int) -> float:
    return 0.9 if x == FLAT else round(step / 10 + x / 100, 2)


def need(number: int, proposal: Proposal) -> int:
    (units,) = proposal.description["architecture"]["fc_units"]
    return 1000 if units == 1 + TOO_LARGE else 10


def doomed(storage: RetryingStorage, kill: Kill) -> None:
    """Let the driver die at one of its operations."""
    really, left = storage.patiently, kill.operation

    def patiently(operation: Callable[[], Any]) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or (left == 0 and not kill.done):
            raise Killed
        result = really(operation)
        if left == 0:
            raise Killed
        return result

    storage.patiently = patiently  # type: ignore[method-assign]


def go_on(folder: Path, space: Space, engine: ScriptedEngine, until: Kill | Stop | None) -> str | None:
    """One run of the search; why it ended, or None if it was killed or failed."""
    storage = open_database(f"sqlite:///{folder}/nas.db", create=False)
    try:
        if isinstance(until, Kill):
            doomed(storage, until)
        store = StudyWriter.find(storage, "study", folder)
        store.begin()
        driver = make_driver(store, space, engine, need=need)
        for number, event in enumerate(driver.run()):
            if isinstance(until, Stop) and number == until.events:
                driver.stop()
            if isinstance(event, SearchEnded):
                return event.why
        raise AssertionError("it ended without a word")
    except (Killed, SearchFailed):
        return None
    finally:
        storage.close()


def start(folder: Path) -> None:
    settings = {"space": "mlp", "study": "study", "trials": TRIALS, "epochs": EPOCHS, "patience": PATIENCE}
    recipe = Recipe.load(**settings, sampler="random", pruner="none", threads=1)
    storage = open_database(f"sqlite:///{folder}/nas.db", create=True)
    make_folder(folder / "study")
    StudyWriter.create(storage, "study", folder, recipe, 1, {}, memory_cap=100)
    storage.close()


FATES = ("passes", "saves", "dies", "saves and dies", "passes and dies", "runs out of memory")
INTERRUPTIONS = st.one_of(
    st.builds(Kill, operation=st.integers(1, 150), done=st.booleans()),
    st.builds(Stop, events=st.integers(0, 20)),
)


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=25),
    interruptions=st.lists(INTERRUPTIONS, max_size=5),
    workers=st.integers(1, 3),
)
def any_interleaving(fates, interruptions, workers):
    remaining, deaths = iter(fates), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "small.py"
        file.write_text(SPACE)
        space = load_space(str(file))
        start(folder)
        for until in [*interruptions, *[None] * 10]:
            why = go_on(folder, space, FatefulEngine(remaining, deaths, workers), until)
            if why == "trials":
                break
        assert why == "trials"
        store = StudyWriter.find(open_database(f"sqlite:///{folder}/nas.db", create=False), "study", folder)
        check_records(store, TRIALS, EPOCHS)
        records = store.trials()
        outcomes = {
            (r.params["x"], r.outcome, tuple(e.val_accuracy for e in r.epochs))
            for r in records
            if r.outcome.charged
        }
        assert outcomes == EXPECTED
        forgotten = sum(isinstance(until, Kill) for until in interruptions)  # killed before it was stored
        assert max(deaths.values(), default=0) <= RETRIES + 1 + forgotten
        assert not list((folder / "study" / "checkpoints").glob("*"))
        store.storage.close()


@pytest.mark.parametrize("examples", first_of(1, [2, 25]))
def test_any_interleaving_of_epochs_deaths_and_resumes_ends_in_the_same_set_of_outcomes(examples):
    how = settings(max_examples=examples, deadline=None, derandomize=True, phases=[Phase.generate])
    how(any_interleaving)()
