"""The driver when things go wrong at awkward moments, with an engine whose workers do what the test says."""

from collections.abc import Iterator

import pytest
from optuna.trial import TrialState

from nas.driver.driver import RETRIES
from nas.driver.ending import FAILURES
from nas.engines.messages import Died, Ended, Message, Task
from nas.errors import SearchFailed, StorageError
from nas.events import EpochTrained, Event, Notice, SearchEnded, WorkerReady
from nas.space.load import Space, load_space
from nas.study.trial_files import checkpoint_path
from nas.study.writer import StudyWriter
from tests.driver.test_proposer import measured, small_space
from tests.grids import first_of
from tests.scripted import CAP, Script, ScriptedEngine, ends, epoch, learns, make_driver, outcomes, run


class FailsToOpen(ScriptedEngine):
    """Its first worker dies so many times before it is ready."""

    def __init__(self, script: Script, deaths: int) -> None:
        super().__init__(script)
        self.deaths = deaths

    def open(self) -> None:
        if self.deaths:
            self.deaths -= 1
            self.post(Died(worker=0, number=None, reason="killed at its start"))
        else:
            super().open()


class DiesLate(ScriptedEngine):
    """A worker that says it ran out of memory dies of it, and is heard to in the same batch."""

    def messages(self, timeout: float) -> list[Message]:
        said = super().messages(timeout)
        late = [
            Died(worker=0, number=message.number, reason="killed right after")
            for message in said
            if isinstance(message, Ended) and message.how == "out of memory"
        ]
        return [*said, *late]


class LosesIdleProcess(ScriptedEngine):
    """The idle process of a slot dies, and another takes the task before the driver hears of it."""

    def start(self, worker: int, task: Task) -> None:
        super().start(worker, task)
        self.post(Died(worker=worker, number=None, reason="the idle one was killed"))


class LosesAll(ScriptedEngine):
    """So many times, all workers die at once, as soon as each of them has a trial."""

    def __init__(self, script: Script, workers: int, times: int) -> None:
        super().__init__(script, workers)
        self.times = times

    def messages(self, timeout: float) -> list[Message]:
        if self.times:
            self._plays = [None] * len(self.tasks)  # until then, nobody says anything
            if all(self.tasks):
                self.times -= 1
                for worker, task in enumerate(self.tasks):
                    assert task
                    self._plays[worker] = iter([Died(worker=worker, number=task.number, reason="no power")])
        return super().messages(timeout)


def interrupted(store: StudyWriter, space: Space, when: type[Event] = EpochTrained) -> None:
    """Search until the first event of a kind, and stop."""
    driver = make_driver(store, space, ScriptedEngine(learns(*[0.5] * 4)))
    for event in driver.run():
        if isinstance(event, when):
            driver.stop()
    assert outcomes(store) == ["interrupted"]


# starting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaths", first_of(2, reversed(range(FAILURES))))
def test_a_first_worker_that_dies_before_it_is_ready_is_started_again(make_store, mlp, deaths):
    store = make_store(trials=1, epochs=1)
    events = list(make_driver(store, mlp, FailsToOpen(learns(0.5), deaths)).run())
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "A worker is started again: killed at its start"
    ] * deaths
    assert outcomes(store) == ["completed"]


def test_a_first_worker_that_always_dies_before_it_is_ready_ends_the_search(make_store, mlp):
    store = make_store(trials=1, epochs=1)
    with pytest.raises(SearchFailed, match="killed at its start"):
        list(make_driver(store, mlp, FailsToOpen(learns(0.5), FAILURES)).run())
    assert "running" not in outcomes(store)


def test_a_first_worker_that_is_never_ready_ends_the_search(make_store, mlp, monkeypatch):
    monkeypatch.setattr("nas.driver.watchdog.BUILDING", 0.1)
    store = make_store(trials=1, epochs=1)
    engine = ScriptedEngine(learns(0.5))
    monkeypatch.setattr(engine, "open", lambda: None)
    with pytest.raises(SearchFailed, match="No worker was ready"):
        list(make_driver(store, mlp, engine).run())


# deaths and memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", first_of(2, [1, 4, 8, 16]))
def test_an_event_that_kills_all_workers_ends_no_search_whose_trials_have_retries_left(
    make_store, mlp, workers
):
    store = make_store(trials=workers, epochs=1)
    list(make_driver(store, mlp, LosesAll(learns(0.5), workers, times=1)).run())
    assert outcomes(store) == ["completed"] * workers
    assert [record.deaths for record in store.trials()] == [1] * workers


def test_an_event_that_fails_the_trials_of_all_workers_ends_no_search(make_store, mlp):
    store = make_store(trials=6, epochs=1)
    list(make_driver(store, mlp, LosesAll(learns(0.5), 6, RETRIES + 1)).run())
    assert outcomes(store) == ["failed"] * 6 + ["completed"] * 6


def test_a_trial_keeps_its_reservation_when_the_idle_process_before_it_is_found_dead(make_store, mlp):
    store = make_store(trials=2, epochs=3)
    engine = LosesIdleProcess(learns(0.5, 0.5, 0.5), workers=2)
    list(make_driver(store, mlp, engine, need=lambda number, _: 60, budget=CAP).run())
    assert engine.most_at_once == 1, "two trials of 60 bytes do not share a budget of 100"
    assert outcomes(store) == ["completed"] * 2


def test_a_trial_that_runs_out_of_memory_and_takes_its_worker_along_is_started_once_more(make_store, mlp):
    store = make_store(trials=1, epochs=1)
    engine = DiesLate(
        lambda task: (learns(0.5) if task.plan.accumulation > 1 else ends("out of memory"))(task)
    )
    list(make_driver(store, mlp, engine).run())
    assert [task.plan.accumulation for task in engine.given] == [1, 2]
    (record,) = store.trials()
    assert (record.outcome, record.recoveries, record.deaths) == ("completed", 1, None)


def test_a_trial_whose_worker_the_kernel_ended_for_lack_of_memory_goes_on_more_frugally(make_store, mlp):
    store = make_store(trials=1, epochs=1)
    ended = Died(worker=0, number=0, reason="signal 9", out_of_memory=True)
    _, engine = run(
        store, mlp, lambda task: learns(0.5)(task) if task.plan.accumulation > 2 else iter([ended])
    )
    assert [task.plan.accumulation for task in engine.given] == [1, 2, 4]
    (record,) = store.trials()
    assert (record.outcome, record.recoveries, record.deaths) == ("completed", 2, None)
    assert not store.calibration, "the system had too little, the prediction was not too small"


def test_a_small_space_in_which_nothing_fits_ends_with_the_smallest_cap_that_would_do(
    make_store, tmp_path, monkeypatch
):
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 9)
    store = make_store(trials=3)
    space = small_space(tmp_path, choices=2)
    with pytest.raises(SearchFailed, match=r"None of the last 2 proposals fits .* --memory-cap 2MiB"):
        run(store, space, learns(0.5), need=lambda number, _: 2 * 2**20)
    assert outcomes(store).count("does_not_fit") == 2
    assert outcomes(store)[-9:] == ["duplicate"] * 9


def test_a_small_space_of_which_something_fits_is_exhausted_without_an_error(
    make_store, tmp_path, monkeypatch
):
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 9)
    store = make_store(trials=3, epochs=1)
    space = small_space(tmp_path, choices=2)
    events, _ = run(store, space, learns(0.5), need=lambda number, _: 10 if number == 0 else 150)
    assert events[-1] == SearchEnded(why="exhausted")


@pytest.mark.parametrize("again", [True, False])
def test_epochs_out_of_a_checkpoint_teach_nothing_about_memory(make_store, mlp, again):
    store = make_store(trials=1, epochs=2)

    def script(task: Task) -> Iterator[Message]:
        yield measured(epoch(task.number, 1, again=again), 8 * task.plan.reservation)
        yield from (epoch(task.number, 2), *ends("completed", "")(task))

    run(store, mlp, script)
    assert ("cpu" in store.calibration) is not again


# other hands -----------------------------------------------------------------------------------------------


def test_a_trial_that_was_failed_in_the_dashboard_before_it_was_planned_is_cancelled(make_store, mlp):
    store = make_store(trials=1, epochs=1)

    def need(number: int, proposal: object) -> int:
        if number == 0:
            store._study.tell(0, state=TrialState.FAIL)
        return 10

    _, engine = run(store, mlp, learns(0.5), need=need)
    assert outcomes(store) == ["failed", "completed"]
    assert store.trials()[0].reason == "cancelled in the dashboard"
    assert [task.number for task in engine.given] == [1]


def test_a_trial_that_was_failed_in_the_dashboard_and_ran_out_of_memory_is_cancelled(make_store, mlp):
    store = make_store(trials=1, epochs=1)

    def script(task: Task) -> Iterator[Message]:
        if task.number == 0 and task.plan.accumulation == 4:  # the most frugal plan there is
            store._study.tell(0, state=TrialState.FAIL)
        return ends("out of memory")(task) if task.number == 0 else learns(0.5)(task)

    run(store, mlp, script)
    assert outcomes(store) == ["failed", "completed"]


# between two runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, StorageError])
def test_a_completed_trial_stays_so_when_the_search_ends_before_optuna_knows(
    make_store, mlp, monkeypatch, error
):
    store = make_store(trials=2, epochs=1)

    def broken(number: int, outcome: object, value: object) -> None:
        monkeypatch.undo()  # the next one succeeds
        raise error("away")

    monkeypatch.setattr(store, "_tell_optuna", broken)
    with pytest.raises(error):
        run(store, mlp, learns(0.5))
    (record,) = store.trials()
    assert (record.outcome, record.value) == ("completed", 0.5)
    (frozen,) = store._study.trials
    assert (frozen.state, frozen.value) == (TrialState.COMPLETE, 0.5)


def test_a_retry_that_was_interrupted_while_it_was_suggested_is_repeated_with_all_parameters(make_store, mlp):
    store = make_store(trials=1, epochs=4)
    interrupted(store, mlp)
    before = store.trials()[0].params
    store.begin()
    retry = store.ask()
    name, distribution = next(iter(store._study.trials[0].distributions.items()))
    retry._suggest(name, distribution)  # and the driver is killed
    store.begin()
    assert store.trials()[-1].params == before
    run(store, mlp, learns(*[0.5] * 4))
    last = store.trials()[-1]
    assert (last.params, last.outcome) == (before, "completed")


@pytest.mark.parametrize("when", [WorkerReady, EpochTrained])
def test_an_interrupted_trial_of_a_space_without_parameters_is_repeated(make_store, tmp_path, when):
    file = tmp_path / "fixed.py"
    file.write_text("""
from search_spaces.mlp import Mlp
from nas.space import Proposal, Training

def suggest(trial, data):
    network = Mlp(fc_units=(16,), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(network, Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
""")
    space = load_space(str(file))
    store = make_store(trials=1, epochs=4)
    interrupted(store, space, when)
    checkpoint = checkpoint_path(store.folder, 0)
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    store.begin()
    assert checkpoint.exists()
    run(store, space, learns(*[0.5] * 4))
    assert outcomes(store) == ["interrupted", "completed"]
    assert store.trials()[1].retry_of == 0
