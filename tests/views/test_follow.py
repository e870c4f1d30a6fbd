"""A search watched from the database alone: the events of a real driver, and what a look costs the others."""

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import insert, text, update

from nas.events import (
    EpochTrained,
    Event,
    Forecast,
    ImagesSeen,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WorkerReady,
)
from nas.recipe import Recipe
from nas.space.load import Space
from nas.study import tables
from nas.study.database import open_database
from nas.study.lock import study_lock
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from nas.views.follow import follow
from tests.conftest import DIGITS
from tests.views.terminal.samples import epoch

PLAN = {"micro_batch": 32, "accumulation": 4, "checkpointing": True}


class Driver:
    """Does to a study what a driver does, in steps."""

    def __init__(self, store: StudyWriter, space: Space) -> None:
        self.store, self.space = store, space
        self.running: dict[int, Any] = {}
        store.run_begins(["cuda:0", "cuda:0"], {"cuda:0": 1000})

    def start(self, worker: int = 0) -> int:
        trial = self.store.ask()
        proposal = self.space.suggest(trial, DIGITS)
        columns = {"predicted": 300, "plan": PLAN}
        self.store.enter(trial, proposal, 7, Outcome.WAITING, excess=-0.5, **columns)
        self.store.start(trial.number, worker)
        self.store.describe(trial.number, device="NVIDIA H200")
        self.running[trial.number] = trial
        return trial.number

    def train(self, number: int, *epochs: int) -> None:
        for each in epochs:
            self.store.report(self.running[number], epoch(each, each / 10))

    def end(
        self, number: int, outcome: Outcome, value: float | None = None, reason: str | None = None
    ) -> None:
        self.store.tell(number, outcome, value, reason)

    def refuse(self, outcome: Outcome, reason: str) -> None:
        trial = self.store.ask()
        self.store.enter(trial, self.space.suggest(trial, DIGITS), 7, outcome, excess=0.5, reason=reason)


@pytest.fixture
def driver(make_store: Callable[..., StudyWriter], mlp: Space) -> Driver:
    return Driver(make_store(trials=10, workers=2), mlp)


def watched(driver: Driver, *steps: Callable[[], object]) -> list[Event]:
    """What is told while `driver` holds its study: looks after each of `steps`, and one after its end."""
    with ExitStack() as held:
        held.enter_context(study_lock(driver.store.storage, driver.store.name))
        to_do = iter([*steps, held.close])
        return list(follow(driver.store, wait=lambda: next(to_do)()))  # type: ignore[func-returns-value]


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [each for each in events if isinstance(each, kind)]


def test_without_a_search_nothing_comes(driver):
    driver.start()
    assert list(follow(driver.store)) == []


def test_the_start_tells_what_earlier_runs_have_left(driver):
    for value in (0.5, 0.75, 0.25):
        driver.end(driver.start(), Outcome.COMPLETED, value)
    driver.end(driver.start(), Outcome.PRUNED)
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    with driver.store.engine.begin() as connection:
        connection.execute(update(tables.trials).values(started_at=past, finished_at=past))
    start, *events = watched(driver)
    assert isinstance(start, SearchStarted)
    assert (start.study, start.workers, start.best) == ("study", 2, (1, 0.75))
    assert start.budgets == {"cuda:0": 1000}
    assert start.curve == (0.5, 0.75, 0.75)
    assert (start.counts["completed"], start.counts["pruned"]) == (3, 1)
    assert start.seconds < 60
    assert [type(each) for each in events] == [SearchEnded]


def test_what_happened_before_the_watcher_came_is_told_once(driver):
    first = driver.start(worker=1)
    driver.train(first, 1, 2)
    events = watched(driver, lambda: None, lambda: None)
    (begun,) = of(TrialStarted, events)
    assert (begun.number, begun.worker, begun.reservation) == (first, 1, 300)
    assert (begun.device, begun.plan) == ("cuda:0", "4 x 32 images, checkpoints")
    assert begun.network.startswith("fc_units")
    assert [each.epoch.number for each in of(EpochTrained, events)] == [1, 2]
    assert of(WorkerReady, events) == [WorkerReady(worker=1, device="NVIDIA H200")]


def test_news_comes_with_each_look_from_either_database(database_url, tmp_path, mlp):
    recipe = Recipe.load(space="mlp", study="study", sampler="random", pruner="none", threads=1)
    storage = open_database(database_url, create=True)
    driver = Driver(StudyWriter.create(storage, "study", tmp_path, recipe, 1, {}), mlp)
    driver.store.begin()
    number = driver.start()
    events = watched(
        driver,
        lambda: driver.train(number, 1),
        lambda: driver.train(number, 2, 3),
        lambda: driver.end(number, Outcome.COMPLETED, 0.75),
    )
    assert [each.epoch for each in of(EpochTrained, events)] == [epoch(n, n / 10) for n in (1, 2, 3)]
    assert events[0].seconds < 60
    (ended,) = of(TrialEnded, events)
    assert (ended.number, ended.outcome, ended.value, ended.epochs) == (number, Outcome.COMPLETED, 0.75, 3)


def test_what_the_run_was_said_to_take_is_told_once(driver):
    said = Forecast(trials=2, seconds=3, low=2, high=5, known=False, pruned=False, starts=(1.5,), mean=1.5)
    events = watched(driver, lambda: driver.store.run_expects(asdict(said)), lambda: None)
    assert of(Forecast, events) == [said]
    driver.store.run_begins(["cpu"], {})
    assert of(Forecast, watched(driver)) == []


def test_how_far_a_trial_is_inside_its_epoch_is_told_once_for_each_news(driver):
    driver.store.row["data"] = {"info": {**asdict(DIGITS), "num_train": 1000}}
    number = driver.start()
    driver.train(number, 1)
    events = watched(
        driver,
        lambda: driver.store.keep_progress({number: 1.25}),
        lambda: None,
        lambda: driver.store.keep_progress({number: 1.75}),
        lambda: driver.train(number, 2),
    )
    told = [each for each in events if isinstance(each, EpochTrained | ImagesSeen)]
    assert [each.images if isinstance(each, ImagesSeen) else each.epoch.number for each in told] == [
        *(1, 250, 750, 2)
    ]
    assert {each.of for each in of(ImagesSeen, events)} == {1000}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.DOES_NOT_FIT, "needs 9 GiB"), (Outcome.DUPLICATE, "the same as trial 0")],
)
def test_proposals_that_are_not_trained_are_told_with_their_reason(driver, outcome, reason):
    (ended,) = of(TrialEnded, watched(driver, lambda: driver.refuse(outcome, reason)))
    assert (ended.outcome, ended.reason, ended.epochs, ended.seconds) == (outcome, reason, 0, 0.0)


@pytest.mark.parametrize("why", ["trials", "time", "target", "exhausted", "stopped"])
def test_the_end_says_why_as_the_driver_left_word(driver, why):
    assert watched(driver, lambda: driver.store.run_ends(why))[-1] == SearchEnded(why=why)


def test_a_driver_that_was_killed_left_no_word(driver):
    assert watched(driver)[-1] == SearchEnded(why="stopped")


def hold(url: str, ready: Any, end: Any) -> None:
    """Another process's driver."""
    from nas.study.database import open_database

    with study_lock(open_database(url, create=False), "study"):
        ready.set()
        end.wait(60)


def test_who_holds_a_study_whose_search_has_ended_does_not_search(driver):
    driver.store.run_ends("trials")
    assert watched(driver) == []  # as while nas train trains the final model


@pytest.mark.slow
def test_a_driver_that_is_killed_ends_the_watch(driver):
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(driver.store.engine.url), ready, end))
    process.start()
    assert ready.wait(60)
    driver.start()

    def kill() -> None:
        process.kill()
        process.join()

    assert of(SearchEnded, list(follow(driver.store, wait=kill))) == [SearchEnded(why="stopped")]


def test_a_watcher_reads_while_the_driver_writes_and_never_writes(driver):
    said: list[str] = []

    def remember(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement.split()[0])

    with driver.store.engine.connect() as writer:
        writer.execute(text("BEGIN IMMEDIATE"))  # the one lock of a writer
        writer.execute(insert(tables.epochs).values(study_uuid="x", number=0, epoch=1))
        sql_event.listen(driver.store.engine, "before_cursor_execute", remember)
        events = watched(driver, lambda: None)
        sql_event.remove(driver.store.engine, "before_cursor_execute", remember)
        writer.commit()
    assert of(SearchStarted, events)
    assert set(said) == {"SELECT"}


def test_a_look_at_a_long_study_reads_what_is_new(driver):
    """Not the curves and proposals of thousands of trials again each second."""
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        {
            "study_uuid": driver.store.uuid,
            "number": number,
            "outcome": "pruned",
            "started_at": now - timedelta(hours=2),
            "finished_at": now - timedelta(hours=1),
        }
        for number in range(1000, 3000)
    ]
    with driver.store.engine.begin() as connection:
        connection.execute(insert(tables.trials), rows)
    read: list[int] = []
    original = driver.store.storage.read

    def counted(query: Any) -> Any:
        found = original(query)
        read.append(len(found))
        return found

    driver.store.storage.read = counted  # type: ignore[method-assign]
    events = watched(driver, lambda: driver.start(), lambda: None)
    assert of(SearchStarted, events)[0].counts["pruned"] == 2000
    assert sum(read) < 2000 + 20
