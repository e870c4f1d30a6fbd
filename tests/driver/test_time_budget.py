"""What trials may take: known before they start, told to the sampler, and kept to."""

import time
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from nas.driver.time_budget import MULTIPLE, Verdict, duration
from nas.engines.messages import Trained
from nas.errors import SearchFailed
from nas.events import SearchEnded
from nas.seconds.rates import reference
from nas.study.outcome import Outcome
from nas.study.writer import TIME
from tests.scripted import ScriptedEngine, epoch, learns, make_driver, outcomes, run

CALL = reference("cpu")["calls"]

PATIENCE = 5


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is known of this machine, and nothing is remembered for other tests."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("nas.driver.proposer.UNFIT", 6)
    monkeypatch.setattr("nas.driver.time_budget.PATIENCE", PATIENCE)
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 10)


def needs(seconds):
    """Calls of a step of a trial whose epoch takes about so long, with batches of 64 of 1,257 images."""
    return seconds / (1257 // 64) / CALL


def taking(seconds):
    """Trials whose epochs take so long, by their numbers: what is known of them, and what they do."""

    def script(task):
        for message in learns(0.5, 0.6)(task):
            if isinstance(message, Trained):
                epoch = replace(
                    message.epoch, seconds=seconds(task.number), busy_seconds=seconds(task.number)
                )
                yield replace(message, epoch=epoch)
            else:
                yield message

    return {"script": script, "calls": lambda number: needs(seconds(number))}


def told(store):
    return [store.constraints[record.number].get(TIME) for record in store.trials()]


def test_without_a_limit_a_trial_of_far_more_work_than_the_first_is_told_as_too_much(make_store, mlp):
    store = make_store(trials=3, epochs=2)
    much = {1: 100 * MULTIPLE * needs(1)}
    run(store, mlp, learns(0.5, 0.6), calls=lambda number: much.get(number, needs(1)))
    records = store.trials()
    assert [record.outcome.value for record in records] == [
        "completed",
        "does_not_fit",
        "completed",
        "completed",
    ]
    assert "times the work of the first trial" in records[1].reason
    assert told(store)[1] > 10
    assert max(told(store)[2:]) <= 0
    assert records[1].work["calls"] > 0
    assert records[1].predicted_seconds > 100


def test_a_study_of_an_earlier_nas_whose_first_trial_told_no_work_goes_on_without_such_a_limit(
    make_store, mlp
):
    store = make_store(trials=1, epochs=2)
    run(store, mlp, learns(0.5, 0.6))
    for total in (2, 3):
        store.take_over(store.recipe.model_copy(update={"trials": total}), store.memory_cap)
        store.begin()
        run(store, mlp, learns(0.5, 0.6), calls=lambda number: needs(1 if number == 1 else 10_000))
    assert outcomes(store) == ["completed"] * 3


def test_no_clock_decides_without_a_limit(make_store, mlp, monkeypatch):
    found = []
    for pace in (1.0, 50.0):
        store = make_store(f"pace {pace}", trials=4, epochs=2)
        engine = ScriptedEngine(learns(0.5, 0.6), pace=pace)
        driver = make_driver(store, mlp, engine, calls=lambda number: needs(1 + 40 * (number % 2)))
        for _ in driver.run():
            pass
        found.append([(record.params, record.outcome, record.reason) for record in store.trials()])
        assert store.trials()[0].predicted_seconds == pytest.approx(pace, rel=1)
    assert found[0] == found[1]


def test_with_a_limit_a_trial_gets_a_share_of_it(make_store, mlp):
    store = make_store(trials=3, epochs=2, time_limit=600)
    run(store, mlp, **taking(lambda number: 200 if number == 1 else 2))
    records = store.trials()
    assert outcomes(store)[:2] == ["completed", "does_not_fit"]
    assert "a trial may take 2 min (--trial-time)" in records[1].reason
    assert told(store)[1] > 0 > told(store)[0]


def test_the_share_can_be_given(make_store, mlp):
    store = make_store(trials=2, epochs=2, trial_time=30)
    run(store, mlp, **taking(lambda number: 100 if number == 1 else 1))
    assert outcomes(store) == ["completed", "does_not_fit", "completed"]
    assert "a trial may take 30 s" in store.trials()[1].reason


def test_what_cannot_end_is_not_started_and_the_search_ends_with_what_it_has(make_store, mlp):
    store = make_store(trials=90, epochs=2, time_limit=40, trial_time=1000, sampler="random")
    events, engine = run(store, mlp, **taking(lambda number: 1 if number < 3 else 45))
    assert events[-1] == SearchEnded(why="time")
    assert outcomes(store)[3:] == ["does_not_fit"] * PATIENCE
    trained = {task.number for task in engine.given}
    assert trained <= {0, 1, 2}
    assert all(record.outcome is not Outcome.INTERRUPTED for record in store.trials())


def test_nothing_is_asked_for_when_not_even_the_cheapest_could_end(make_store, mlp):
    store = make_store(trials=50, epochs=2, time_limit=5)
    events, engine = run(store, mlp, **taking(lambda number: 50))
    assert events[-1] == SearchEnded(why="time")
    assert not engine.given
    assert outcomes(store) == ["does_not_fit"]
    assert "are left" in store.trials()[0].reason


def test_a_proposal_that_took_too_long_may_be_proposed_again_under_a_longer_limit(make_store, tmp_path):
    from tests.driver.test_proposer import small_space

    store, space = make_store(trials=1, epochs=2, trial_time=1), small_space(tmp_path, choices=1)
    with pytest.raises(SearchFailed, match="go on with a longer --trial-time"):
        run(store, space, **taking(lambda number: 20))
    assert set(outcomes(store)) == {"does_not_fit", "duplicate"}
    store.take_over(store.recipe.model_copy(update={"trial_time": 1000.0}), store.memory_cap)
    store.begin()
    run(store, space, **taking(lambda number: 20))
    assert outcomes(store)[-1] == "completed"


def test_when_all_of_a_space_takes_too_long_the_search_ends_and_says_what_the_cheapest_needs(
    make_store, tmp_path, monkeypatch
):
    from tests.driver.test_proposer import small_space

    monkeypatch.setattr("nas.driver.proposer.UNFIT", 200)
    store, space = make_store(trials=9, epochs=2, trial_time=1), small_space(tmp_path, choices=3)
    with pytest.raises(SearchFailed, match=r"last 3 proposals may be trained\. The cheapest needs") as told:
        run(store, space, **taking(lambda number: 20 + number))
    assert outcomes(store).count("does_not_fit") == 3
    cheapest = min(record.predicted_seconds for record in store.trials() if record.predicted_seconds)
    assert duration(2 * cheapest) in str(told.value)


def test_in_a_space_of_which_a_part_takes_too_long_the_rest_is_trained_and_then_it_is_exhausted(
    make_store, tmp_path
):
    from tests.driver.test_proposer import small_space

    store, space = make_store(trials=9, epochs=2, trial_time=30), small_space(tmp_path, choices=3)
    events, _ = run(store, space, **taking(lambda number: 20 if number == 0 else 1))
    assert events[-1] == SearchEnded(why="exhausted")
    assert outcomes(store)[0] == "does_not_fit"
    assert outcomes(store).count("completed") == 2


def test_a_run_that_goes_on_does_not_end_because_its_first_proposal_is_a_dear_one(make_store, mlp):
    store = make_store(trials=1, epochs=2, time_limit=40, trial_time=1000, sampler="random")
    run(store, mlp, **taking(lambda number: 1))
    store.take_over(store.recipe.model_copy(update={"trials": 3, "time_limit": 40.0}), store.memory_cap)
    store.begin()
    run(store, mlp, **taking(lambda number: 1 if number > 1 else 45))
    assert outcomes(store) == ["completed", "does_not_fit", "completed", "completed"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_trial_that_waits_until_what_is_left_does_not_suffice_is_one_for_the_next_run(
    make_store, mlp, monkeypatch, cancelled
):
    store, asked = make_store(trials=1, epochs=1, time_limit=600), []
    driver = make_driver(store, mlp, ScriptedEngine(learns(0.5)), calls=lambda number: needs(1))

    def out_of_time(trial):
        asked.append(trial.number)
        if asked.count(0) != 2 or trial.number:  # the first time it is planned, the second it waits
            return None
        if cancelled:
            store._study.tell(0, state=TrialState.FAIL)
        return Verdict(2.0, 1.0, "needs more than is left", late=True)

    monkeypatch.setattr(driver.times, "out_of_time", out_of_time)
    for _ in driver.run():
        pass
    first, second = store.trials()
    assert (first.outcome, first.reason) == (Outcome.INTERRUPTED, "needs more than is left")
    assert second.outcome is Outcome.COMPLETED
    assert told(store)[0] <= 0


def test_a_trial_of_an_earlier_run_is_let_in_for_its_checkpoint(make_store, mlp):
    store = make_store(trials=1, epochs=1, time_limit=600)
    driver = make_driver(store, mlp, ScriptedEngine(learns(0.5)), calls=lambda number: needs(60))
    trial = driver.proposing.ask()
    trial.retry_of, trial.epoch_seconds = 0, 60.0
    driver.times.begins(time.monotonic() + 20)
    assert driver.times.out_of_time(trial), "it was given up before it began"
    trial.resumes = True
    assert driver.times.out_of_time(trial) is None


def test_a_trial_that_lost_its_worker_needs_what_is_left_of_it(make_store, mlp):
    store = make_store(trials=1, epochs=10, time_limit=600)
    driver = make_driver(store, mlp, ScriptedEngine(learns(0.5)), calls=lambda number: needs(20))
    trial = driver.proposing.ask()
    trial.epoch_seconds = 20.0
    driver.times.begins(time.monotonic() + 90)
    assert driver.times.out_of_time(trial)
    trial.curve.extend([epoch(0, number).epoch for number in range(1, 10)])
    assert driver.times.out_of_time(trial) is None


def test_what_the_study_and_the_machine_both_remember_is_learned_from_once(make_store, mlp):
    store, sizes = make_store(trials=2, epochs=2), []
    for _ in range(3):
        driver = make_driver(store, mlp, ScriptedEngine(learns(0.5, 0.6)), calls=lambda number: needs(1))
        for _ in driver.run():
            pass
        sizes.append({device: len(rates) for device, rates in driver.times._rates.items()})
        store.take_over(store.recipe.model_copy(update={"trials": store.recipe.trials + 1}), store.memory_cap)
        store.begin()
    assert sizes == [{"cpu": 2}, {"cpu": 3}, {"cpu": 4}]


def test_baselines_take_what_they_need(make_store, mlp):
    store = make_store(trials=1, epochs=2, trial_time=1)
    store.enqueue({})
    engine = ScriptedEngine(learns(0.5, 0.6))
    driver = make_driver(store, mlp, engine, calls=lambda number: needs(100), listed=True)
    for _ in driver.run():
        pass
    assert outcomes(store) == ["completed"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0.4 s"), (12.3, "12 s"), (89, "89 s"), (840, "14 min"), (7200, "2.0 h")],
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words
