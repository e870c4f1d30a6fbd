"""The driver, with an engine whose trials learn what the test says."""

from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from nas.driver.driver import RETRIES
from nas.driver.ending import FAILURES
from nas.engines.messages import Ended
from nas.errors import BrokenFile, SearchFailed
from nas.events import EpochTrained, Notice, SearchEnded, TrialEnded, TrialStarted
from nas.space.load import load_space
from nas.study.outcome import Outcome
from tests.conftest import DIGITS
from tests.scripted import ScriptedEngine, dies, ends, epoch, learns, make_driver, outcomes, run


@pytest.mark.parametrize("workers", [1, 3])
def test_it_trains_exactly_the_trials_that_were_asked_for(make_store, mlp, workers):
    store = make_store(trials=5, epochs=2)
    events, engine = run(store, mlp, learns(0.5, 0.6), workers)
    assert outcomes(store) == ["completed"] * 5
    assert [record.value for record in store.trials()] == [0.6] * 5
    assert engine.most_at_once == workers
    assert events[-1] == SearchEnded(why="trials")


def test_a_worker_does_not_wait_until_trials_for_all_others_are_asked(make_store, mlp):
    store, asked = make_store(trials=8, epochs=1), []
    ask = store.ask
    store.ask = lambda **how: asked.append(len(started)) or ask(**how)
    started = []
    for event in make_driver(store, mlp, ScriptedEngine(learns(0.5), workers=4)).run():
        if isinstance(event, TrialStarted):
            started.append(event.number)
    assert asked[3] > 0, "some have started when the fourth trial is asked for"


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


def test_a_trial_that_diverges_is_pruned_with_its_reason(make_store, mlp):
    store = make_store(trials=1)
    run(store, mlp, ends("diverged", "too much"))
    (record,) = store.trials()
    assert (record.outcome, record.reason) == (Outcome.PRUNED, "diverged: too much")


def test_failed_trials_are_not_charged(make_store, mlp):
    store = make_store(trials=3, epochs=1)
    run(store, mlp, lambda task: (ends("failed") if task.number == 1 else learns(0.5))(task))
    assert outcomes(store) == ["completed", "failed", "completed", "completed"]


@pytest.mark.parametrize("ending", [ends("failed"), dies()], ids=["error", "death"])
def test_a_search_whose_trials_all_fail_ends_with_their_reason(make_store, mlp, ending):
    store = make_store(trials=100)
    with pytest.raises(SearchFailed, match="no such luck"):
        run(store, mlp, ending)
    assert set(outcomes(store)) <= {"failed", "interrupted"}


def test_failures_between_successes_do_not_end_the_search(make_store, mlp):
    store = make_store(trials=4, epochs=1)
    run(store, mlp, lambda task: (learns(0.5) if task.number % FAILURES == 0 else ends("failed"))(task))
    assert outcomes(store).count("completed") == 4


def test_a_target_accuracy_ends_the_search_and_what_still_runs(make_store, mlp):
    store = make_store(trials=100, epochs=3, target_accuracy=0.8)
    events, _ = run(store, mlp, learns(0.5, 0.6, 0.9), workers=2)
    assert events[-1] == SearchEnded(why="target")
    assert "running" not in outcomes(store)
    assert outcomes(store).count("completed") >= 1


def test_the_time_of_a_trial_begins_when_a_worker_takes_it(make_store, mlp, monkeypatch):
    clock = [0.0]
    for module in ("live_trial", "driver", "watchdog"):
        monkeypatch.setattr(f"nas.driver.{module}.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def plans_slowly(number, proposal):
        clock[0] += 100
        return 10

    events, _ = run(make_store(trials=2, epochs=1), mlp, learns(0.5), need=plans_slowly)
    assert [event.seconds for event in events if isinstance(event, TrialEnded)] == [0.0, 0.0]


def test_a_time_limit_ends_the_search_and_nothing_stays_running(make_store, mlp):
    store = make_store(trials=100, epochs=50, time_limit=0.3)
    events, _ = run(store, mlp, learns(*[0.5] * 50))
    assert events[-1] == SearchEnded(why="time")
    assert "running" not in outcomes(store)


def test_a_stopped_search_repeats_its_interrupted_trials_when_it_goes_on(make_store, mlp):
    store = make_store(trials=3, epochs=4)
    driver = make_driver(store, mlp, ScriptedEngine(learns(*[0.5] * 4), workers=2))
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


@pytest.mark.parametrize("entered", [False, True])
def test_a_driver_that_died_leaves_trials_that_the_next_one_settles(make_store, mlp, entered):
    store = make_store(trials=2, epochs=1)
    trial = store.ask()
    proposal = mlp.suggest(trial, DIGITS)
    if entered:
        store.enter(trial, proposal, 1, Outcome.WAITING, excess=-0.5)
        store.start(trial.number, worker=0)

    store.begin()
    assert outcomes(store) == ["interrupted", "waiting"]
    run(store, mlp, learns(0.5))
    assert outcomes(store) == ["interrupted", "completed", "completed"]


def test_an_error_in_the_search_space_ends_the_search_and_leaves_nothing_running(make_store, tmp_path):
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


def test_the_pruner_is_asked_about_every_epoch_that_is_new_but_the_last(make_store, mlp):
    asked = []

    class Asked:
        def stop(self, number, images_seen, accuracy):
            asked.append((number, images_seen, accuracy))

    epochs = [epoch(0, number, number / 10, again=number == 1) for number in range(1, 5)]
    engine = ScriptedEngine(lambda task: iter([*epochs, Ended(number=0, how="completed")]))
    driver = make_driver(make_store(trials=1, epochs=4), mlp, engine)
    driver.early_end.pruner = Asked()
    list(driver.run())
    assert asked == [(0, 2 * DIGITS.num_train, 0.2), (0, 3 * DIGITS.num_train, 0.3)]


# deaths ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaths", range(RETRIES + 2))
def test_a_trial_whose_worker_dies_is_tried_again_three_times(make_store, mlp, deaths):
    store = make_store(trials=1, epochs=2)
    tries = []

    def script(task):
        tries.append(task)
        if len(tries) <= deaths:
            return iter([epoch(task.number, 1), *dies("killed")(task)])
        return iter([epoch(task.number, 1, again=True), epoch(task.number, 2), *ends("completed", "")(task)])

    events, _ = run(store, mlp, script)
    first = store.trials()[0]
    if deaths <= RETRIES:
        assert (first.outcome, first.deaths or 0) == (Outcome.COMPLETED, deaths)
        assert [epoch.number for epoch in first.epochs] == [1, 2]
        assert len({task.checkpoint for task in tries}) == 1
    else:
        assert (first.outcome, first.reason, first.deaths) == (Outcome.FAILED, "killed", deaths)
        assert outcomes(store) == ["failed", "completed"]
    assert sum("is tried again" in event.text for event in events if isinstance(event, Notice)) == min(
        deaths, RETRIES
    )


def test_a_worker_that_says_nothing_for_too_long_is_ended_and_its_trial_tried_again(
    make_store, mlp, monkeypatch
):
    monkeypatch.setattr("nas.driver.watchdog.BUILDING", 0.1)
    store = make_store(trials=1, epochs=1)
    tries = []

    def script(task):
        tries.append(task)
        return learns(0.5)(task) if len(tries) > 1 else iter(())

    _, engine = run(store, mlp, script)
    assert engine.killed == [0]
    assert outcomes(store) == ["completed"]


def test_a_worker_that_does_not_stop_is_ended_so_that_another_takes_its_place(make_store, mlp, monkeypatch):
    monkeypatch.setattr("nas.driver.watchdog.SHORTEST", 0.1)
    store = make_store(trials=2, epochs=9, patience=1)
    engine = ScriptedEngine(lambda task: learns(*([0.5] * 9 if task.number == 0 else range(9)))(task))
    monkeypatch.setattr(engine, "stop", lambda number, keep=False: engine.play(number, iter(())))
    list(make_driver(store, mlp, engine).run())
    assert engine.killed == [0]
    assert outcomes(store) == ["pruned", "completed"]


def test_a_trial_that_was_failed_in_the_dashboard_is_cancelled(make_store, mlp):
    store = make_store(trials=2, epochs=3)

    def script(task):
        yield epoch(task.number, 1)
        if task.number == 0:
            store._study.tell(0, state=TrialState.FAIL)
        yield from (epoch(task.number, 2), epoch(task.number, 3), *ends("completed", "")(task))

    run(store, mlp, script)
    assert outcomes(store) == ["failed", "completed", "completed"]
    assert store.trials()[0].reason == "cancelled in the dashboard"
