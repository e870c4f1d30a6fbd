"""The driver, with an engine whose trials learn what the test says."""

import math
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from nas.driver import FAILURES, Driver
from nas.engines.messages import Died, Ended, Message, Task, Trained
from nas.errors import BrokenFile, SearchFailed
from nas.events import EpochTrained, Event, SearchEnded
from nas.plugins import Space
from nas.study.outcome import Outcome
from nas.study.store import StudyStore
from nas.training.epoch import Epoch
from tests.conftest import DIGITS

Script = Callable[[Task], Iterator[Message]]


class ScriptedEngine:
    """Every trial plays a script, one message a turn, until it ends or is stopped."""

    def __init__(self, script: Script, workers: int = 1) -> None:
        self._script = script
        self._plays: list[Iterator[Message] | None] = [None] * workers
        self._tasks: list[Task | None] = [None] * workers
        self._late: deque[Message] = deque()
        self.most_at_once = 0
        self.stopped: list[int] = []

    def free_worker(self) -> int | None:
        return next((index for index, task in enumerate(self._tasks) if task is None), None)

    def start(self, worker: int, task: Task) -> None:
        assert self._tasks[worker] is None
        self._tasks[worker], self._plays[worker] = task, self._script(task)
        self.most_at_once = max(self.most_at_once, sum(task is not None for task in self._tasks))

    def stop(self, number: int) -> None:
        self.stopped.append(number)
        for worker, task in enumerate(self._tasks):
            if task is not None and task.number == number:
                self._plays[worker] = iter((epoch(number, 99), Ended(number=number, how="stopped")))

    def messages(self, timeout: float) -> list[Message]:
        said = []
        for worker, play in enumerate(self._plays):
            if play is not None:
                message = next(play)
                said.append(message)
                if isinstance(message, Ended | Died):
                    self._tasks[worker] = self._plays[worker] = None
        return said

    def close(self) -> None: ...


def epoch(number: int, step: int, accuracy: float = 0.5) -> Trained:
    record = Epoch(
        number=step,
        train_loss=1.0,
        val_loss=math.nan if step == 1 else 1.0,
        val_accuracy=accuracy,
        learning_rate=0.1,
        seconds=0.5,
        images_per_second=1000.0,
        peak_memory=2**20,
    )
    return Trained(number=number, epoch=record)


def learns(*curve: float) -> Script:
    def script(task: Task) -> Iterator[Message]:
        for step, accuracy in enumerate(curve[: task.epochs], start=1):
            yield epoch(task.number, step, accuracy)
        yield Ended(number=task.number, how="completed")

    return script


def fails(reason: str = "no such luck") -> Script:
    return lambda task: iter([Ended(number=task.number, how="failed", reason=reason)])


def run(
    store: StudyStore, space: Space, script: Script, workers: int = 1
) -> tuple[list[Event], ScriptedEngine]:
    engine = ScriptedEngine(script, workers)
    return list(Driver(store, space, DIGITS, engine).run()), engine


def outcomes(store: StudyStore) -> list[str]:
    return [record.outcome.value for record in store.trials()]


@pytest.mark.parametrize("workers", [1, 3])
def test_it_trains_exactly_the_trials_that_were_asked_for(make_store, mlp, workers):
    store = make_store(trials=5, epochs=2)
    events, engine = run(store, mlp, learns(0.5, 0.6), workers)
    assert outcomes(store) == ["completed"] * 5
    assert [record.value for record in store.trials()] == [0.6] * 5
    assert engine.most_at_once == workers
    assert events[-1] == SearchEnded(why="trials")


def test_a_total_that_is_reached_already_trains_nothing(make_store, mlp):
    store = make_store(trials=2, epochs=1)
    run(store, mlp, learns(0.5))
    events, engine = run(store, mlp, learns(0.5))
    assert events == [SearchEnded(why="trials")]
    assert engine.most_at_once == 0


def test_a_trial_far_below_the_others_is_pruned_and_charged(make_store, mlp):
    store = make_store(trials=8, epochs=5, pruner="median")
    _, engine = run(
        store, mlp, lambda task: (learns(*[0.9] * 5) if task.number < 7 else learns(*[0.1] * 5))(task)
    )
    last = store.trials()[-1]
    assert outcomes(store) == ["completed"] * 7 + ["pruned"]
    assert last.reason == "pruner: 0.1000 after epoch 2"
    assert last.value is None
    assert engine.stopped == [7]


def test_what_a_worker_says_of_a_trial_after_its_end_changes_nothing(make_store, mlp):
    store = make_store(trials=8, epochs=5, pruner="median")
    run(store, mlp, lambda task: (learns(*[0.9] * 5) if task.number < 7 else learns(*[0.1] * 5))(task))
    assert [epoch.number for epoch in store.trials()[-1].epochs] == [1, 2]


def test_the_pruner_is_not_asked_after_the_last_epoch(make_store, mlp):
    store = make_store(trials=8, epochs=2, pruner="median")
    run(store, mlp, lambda task: (learns(0.9, 0.9) if task.number < 7 else learns(0.95, 0.1))(task))
    assert outcomes(store)[-1] == "completed"


def test_a_flat_curve_is_pruned_after_the_patience_that_was_given(make_store, mlp):
    store = make_store(trials=1, epochs=9, patience=3)
    run(store, mlp, learns(0.1, 0.5, 0.4, 0.5, 0.3, 0.9))
    (record,) = store.trials()
    assert (record.outcome, len(record.epochs)) == (Outcome.PRUNED, 5)
    assert record.reason == "flat: no better than epoch 2 for 3 epochs"


@pytest.mark.parametrize("how", ["diverged", "out of memory"])
def test_a_trial_that_cannot_be_trained_is_pruned_with_its_reason(make_store, mlp, how):
    store = make_store(trials=1)
    run(store, mlp, lambda task: iter([Ended(number=task.number, how=how, reason="too much")]))
    (record,) = store.trials()
    assert (record.outcome, record.reason) == (Outcome.PRUNED, f"{how}: too much")


def test_failed_trials_are_not_charged(make_store, mlp):
    store = make_store(trials=3, epochs=1)
    run(store, mlp, lambda task: (fails() if task.number == 1 else learns(0.5))(task))
    assert outcomes(store) == ["completed", "failed", "completed", "completed"]


@pytest.mark.parametrize(
    "ending",
    [
        lambda task: iter([Ended(number=task.number, how="failed", reason="no such luck")]),
        lambda task: iter([Died(worker=0, number=task.number, reason="no such luck")]),
    ],
    ids=["error", "death"],
)
def test_a_search_whose_trials_all_fail_ends_with_their_reason(make_store, mlp, ending):
    store = make_store(trials=100)
    with pytest.raises(SearchFailed, match="no such luck"):
        run(store, mlp, ending)
    assert outcomes(store) == ["failed"] * FAILURES


def test_failures_between_successes_do_not_end_the_search(make_store, mlp):
    store = make_store(trials=4, epochs=1)
    run(store, mlp, lambda task: (learns(0.5) if task.number % FAILURES == 0 else fails())(task))
    assert outcomes(store).count("completed") == 4


def test_a_target_accuracy_ends_the_search_and_what_still_runs(make_store, mlp):
    store = make_store(trials=100, epochs=3, target_accuracy=0.8)
    events, _ = run(store, mlp, learns(0.5, 0.6, 0.9), workers=2)
    assert events[-1] == SearchEnded(why="target")
    assert "running" not in outcomes(store)
    assert outcomes(store).count("completed") >= 1


def test_a_time_limit_ends_the_search_and_nothing_stays_running(make_store, mlp):
    store = make_store(trials=100, epochs=50, time_limit=0.3)
    events, _ = run(store, mlp, learns(*[0.5] * 50))
    assert events[-1] == SearchEnded(why="time")
    assert "running" not in outcomes(store)


def test_a_stopped_search_repeats_its_interrupted_trials_when_it_goes_on(make_store, mlp):
    store = make_store(trials=3, epochs=4)
    driver = Driver(store, mlp, DIGITS, ScriptedEngine(learns(*[0.5] * 4), workers=2))
    for event in driver.run():
        if isinstance(event, EpochTrained) and event.number == 2:
            driver.stop()
    interrupted = [record for record in store.trials() if record.outcome is Outcome.INTERRUPTED]
    assert interrupted

    store.begin()
    run(store, mlp, learns(*[0.5] * 4))
    records = store.trials()
    assert sum(record.outcome.charged for record in records) == 3
    for record in interrupted:
        (retry,) = [other for other in records if other.retry_of == record.number]
        assert (retry.params, retry.seed, retry.outcome) == (record.params, record.seed, Outcome.COMPLETED)
    store.begin()
    assert store.trials() == records, "a trial is repeated once"


def test_a_driver_that_died_leaves_trials_that_the_next_one_settles(make_store, mlp):
    store = make_store(trials=2, epochs=1)
    trial = store.ask()
    proposal = mlp.suggest(trial, DIGITS)
    store.start(trial, proposal, seed=1, worker=0)

    store.begin()
    assert outcomes(store) == ["interrupted", "waiting"]
    run(store, mlp, learns(0.5))
    assert outcomes(store) == ["interrupted", "completed", "completed"]


def test_an_error_in_the_search_space_ends_the_search_and_leaves_nothing_running(make_store, tmp_path):
    from nas.plugins import load_space

    file = tmp_path / "mine.py"
    file.write_text('def suggest(trial, data):\n    trial.suggest_int("x", 1, 2)\n    return 1 / 0\n')
    store = make_store(trials=2)
    with pytest.raises(BrokenFile, match=r"mine\.py, line 3: ZeroDivisionError"):
        run(store, load_space(str(file)), learns(0.5))
    assert outcomes(store) == ["interrupted"]


def test_numbers_that_are_not_finite_are_stored_as_null(make_store, mlp):
    store = make_store(trials=1, epochs=2)
    run(store, mlp, learns(0.5, 0.6))
    (record,) = store.trials()
    assert record.epochs[0].val_loss is None
    assert record.epochs[1].val_loss == 1.0
