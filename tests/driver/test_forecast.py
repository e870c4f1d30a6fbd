"""What a run is likely to take, said once before its first trial."""

from itertools import takewhile

import pytest

from nas.driver.forecast import BESIDE, SAMPLED, UNKNOWN
from nas.driver.time_budget import MULTIPLE
from nas.events import Forecast, TrialStarted
from nas.seconds.machine import remember
from nas.seconds.rates import Sample
from tests.driver.test_time_budget import CALL, needs, own_cache  # noqa: F401
from tests.scripted import ScriptedEngine, learns, make_driver, run


def forecast(store, mlp, seconds=lambda place: 1.0, workers=1):
    """What is said of a run whose proposals need so many seconds an epoch, in their order."""
    calls = None if seconds is None else lambda place: needs(seconds(place))
    driver = make_driver(store, mlp, ScriptedEngine(learns(0.5, 0.6), workers), calls=calls)
    before = list(takewhile(lambda event: not isinstance(event, TrialStarted), driver.run()))
    told = [event for event in before if isinstance(event, Forecast)]
    return told[0] if told else None


@pytest.mark.parametrize(("workers", "seconds"), [(1, 10 * 2.5), (2, 5 * 2.5), (100, 2.5)])
def test_what_is_asked_for_is_answered_before_it_runs(make_store, mlp, workers, seconds):
    said = forecast(make_store(trials=10, epochs=2), mlp, workers=workers)
    assert (said.trials, said.seconds, said.mean) == (10, pytest.approx(seconds), pytest.approx(2.5))
    assert (said.low, said.high) == (pytest.approx(seconds / UNKNOWN), pytest.approx(seconds * UNKNOWN))
    assert (said.known, said.fits, said.enough) == (False, None, None)


def test_starts_count_with_what_they_take_themselves(make_store, mlp):
    store = make_store(trials=10, epochs=2)
    for _ in range(2):
        store.enqueue({})
    said = forecast(store, mlp, lambda place: (3.0, 5.0)[place] if place < 2 else 1.0)
    assert said.starts == pytest.approx((6 + BESIDE, 10 + BESIDE))
    assert said.seconds == pytest.approx(sum(said.starts) + 8 * 2.5)


def test_the_more_random_proposals_differ_the_wider_is_the_range(make_store, mlp):
    said = forecast(make_store(trials=10, epochs=2), mlp, lambda place: 1 + place % 2)
    assert said.mean == pytest.approx(3.5)
    assert said.high / said.low > 1.2 * UNKNOWN**2


def test_what_would_be_refused_for_its_work_does_not_count(make_store, mlp):
    store = make_store(trials=10, epochs=2)
    store.enqueue({})
    much = 2.0 * MULTIPLE
    said = forecast(store, mlp, lambda place: 1.0 if place <= SAMPLED // 2 else much)
    assert said.mean == pytest.approx(2.5)


def test_later_runs_count_with_what_trials_of_the_sampler_have_taken(make_store, mlp):
    store = make_store(trials=6, epochs=2)
    store.enqueue({})
    run(store, mlp, learns(0.5, 0.6), calls=lambda place: needs(1000.0))
    store.take_over(store.recipe.model_copy(update={"trials": 20}), store.memory_cap)
    store.begin()
    said = forecast(store, mlp)
    theirs = [record.seconds for record in store.trials()[1:6]]
    assert (said.trials, said.starts, said.pruned) == (14, (), True)
    assert said.mean == pytest.approx(sum(theirs) / 5)


def test_it_is_sure_once_enough_was_timed_on_the_device(make_store, mlp):
    remember("cpu", [Sample({"calls": 1e5}, 1e5 * CALL, 1.0)] * 5)
    said = forecast(make_store(trials=10, epochs=2), mlp)
    assert said.known
    assert (said.low, said.high) == (pytest.approx(said.seconds), pytest.approx(said.seconds))


@pytest.mark.parametrize(
    ("trials", "limit", "fits", "enough"),
    [
        (30, 1000, 30, None),
        (30, 180, 8, None),
        (30, 82, 3, 90),
        (30, 15, 0, 90),
        (3, 40, 1, 90),
        (2, 60, 2, None),
    ],
)
def test_a_time_limit_has_room_for_so_many_or_else_another_is_named(
    make_store, mlp, trials, limit, fits, enough
):
    said = forecast(make_store(trials=trials, epochs=2, time_limit=limit), mlp, lambda place: 10.0)
    assert (said.fits, said.enough) == (fits, enough)


def test_under_a_time_limit_nothing_counts_that_may_not_run(make_store, mlp):
    store = make_store(trials=10, epochs=2, time_limit=60)
    for _ in range(2):
        store.enqueue({})
    said = forecast(store, mlp, lambda place: 30.0 if place in (1, 5) else 1.0)
    assert said.starts == pytest.approx((2.5,))
    assert said.mean == pytest.approx(2.5)


def test_where_nothing_can_be_predicted_nothing_is_said(make_store, mlp):
    assert forecast(make_store(trials=2, epochs=2), mlp, seconds=None) is None


def test_of_a_baseline_nothing_is_said(make_store, mlp):
    store = make_store(trials=1, epochs=2)
    store.enqueue({})
    driver = make_driver(
        store, mlp, ScriptedEngine(learns(0.5, 0.6)), calls=lambda place: needs(1), listed=True
    )
    assert not [event for event in driver.run() if isinstance(event, Forecast)]


def test_it_is_said_once_and_changes_nothing_of_what_is_proposed(make_store, mlp, monkeypatch):
    found = []
    for name, sampled in (("with", SAMPLED), ("without", 0)):
        monkeypatch.setattr("nas.driver.forecast.SAMPLED", sampled)
        store = make_store(name, trials=3, epochs=2, sampler="tpe")
        events, _ = run(store, mlp, learns(0.5, 0.6), calls=lambda place: needs(1))
        assert sum(isinstance(event, Forecast) for event in events) == bool(sampled)
        found.append([record.params for record in store.trials()])
    assert found[0] == found[1]
