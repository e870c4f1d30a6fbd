"""What a search had for its time, and what that was spent on."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.spending import EARLY, PAUSE, STARTS, best_so_far, parts, untimed

START = datetime(2026, 1, 1)


def trial(number, begins, ends, value=None, outcome=None, **more):
    """A trial that ran from one second of the search to another."""
    return TrialRecord(
        number=number,
        outcome=outcome or (Outcome.PRUNED if value is None else Outcome.COMPLETED),
        params={},
        value=value,
        started_at=None if begins is None else START + timedelta(seconds=begins),
        finished_at=None if ends is None else START + timedelta(seconds=ends),
        **{"worker": 0, "epochs": (SimpleNamespace(seconds=1.0),)} | more,
    )


@pytest.mark.parametrize(
    ("trials", "steps"),
    [
        ([], []),
        ([trial(0, 0, 10)], []),
        ([trial(0, 0, 10, 0.5), trial(1, 10, 12), trial(2, 12, 30, 0.7)], [(10, 0, 0.5), (30, 2, 0.7)]),
        ([trial(0, 0, 10, 0.7), trial(1, 10, 20, 0.7), trial(2, 20, 30, 0.6)], [(10, 0, 0.7)]),
        ([trial(0, 0, 40, 0.5), trial(1, 0, 10, 0.6)], [(10, 1, 0.6)]),  # the later one ended earlier
        ([trial(0, 0, 10, 0.5), trial(1, 5010, 5030, 0.6)], [(10, 0, 0.5), (30, 1, 0.6)]),  # two runs
        ([trial(0, None, None, 0.9), trial(1, 0, 10, 0.5)], [(10, 1, 0.5)]),
        ([trial(0, None, None, 0.9)], []),
    ],
)
def test_the_best_so_far_is_told_by_seconds_of_search(trials, steps):
    assert [(step.seconds, step.number, step.value) for step in best_so_far(trials)] == steps


def test_each_part_of_a_search_is_told_with_its_seconds_and_its_share():
    trials = [
        trial(0, 0, 10, 0.5, enqueued=True),
        trial(1, 10, 15, enqueued=True, outcome=Outcome.INTERRUPTED),
        trial(2, 15, 20, 0.6, enqueued=True, retry_of=1),  # of a start: a start, too
        trial(3, 20, 40, 0.7),
        trial(4, 40, 46, outcome=Outcome.INTERRUPTED),
        trial(5, 46, 50, 0.8, enqueued=True, retry_of=4),
        trial(6, 50, 58),
        trial(7, 58, 60, epochs=()),
        trial(8, 60, 100, outcome=Outcome.FAILED),
        trial(9, 100, 100, outcome=Outcome.DUPLICATE, worker=None),
        trial(10, None, None, 0.4),
    ]
    assert [(part.name, part.trials, part.seconds, part.share) for part in parts(trials)] == [
        (STARTS, 3, 20.0, 0.2),
        ("completed", 2, 24.0, 0.24),
        ("pruned", 1, 8.0, 0.08),
        (EARLY, 1, 2.0, 0.02),
        ("interrupted", 1, 6.0, 0.06),
        ("failed", 1, 40.0, 0.4),
    ]
    assert untimed(trials) == 1


@pytest.mark.parametrize("trials", [[], [trial(0, None, None, 0.5)], [trial(0, 0, 0, 0.5)]])
def test_where_no_time_was_spent_or_stored_nothing_fails(trials):
    assert sum(part.seconds for part in parts(trials)) == 0


def test_starts_are_known_from_the_database(make_store, mlp):
    from tests.scripted import learns, run

    store = make_store(trials=3, epochs=1)
    store.enqueue({})
    run(store, mlp, learns(0.5))
    assert [(part.name, part.trials) for part in parts(store.trials())] == [(STARTS, 1), ("completed", 2)]


def test_a_driver_that_was_killed_has_spent_no_more_than_it_trained():
    day = 86_400
    epochs = [SimpleNamespace(seconds=30.0)] * 2
    killed = trial(0, 0, day, outcome=Outcome.INTERRUPTED, epochs=epochs)
    again = trial(1, day, day + 100, value=0.5)
    (first, second) = parts([killed, again])
    assert {first.name, second.name} == {"completed", "interrupted"}
    assert {first.seconds, second.seconds} == {100.0, 60 + PAUSE.total_seconds()}
    (step,) = best_so_far([killed, again])
    assert step.seconds < 1000
