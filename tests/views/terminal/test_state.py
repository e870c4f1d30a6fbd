import pytest

from nas.events import EpochTrained, Forecast, ImagesSeen, Notice, OfBaseline, SearchEnded, WorkerReady
from nas.study.outcome import Outcome
from nas.views.terminal.state import SearchState
from tests.views.terminal.samples import epoch, started, trial_ended, trial_started


def fold(start, *events):
    """The state after events that came a second apart, the first at second 1."""
    state = SearchState(start, 0.0)
    for second, event in enumerate(events, start=1):
        state.add(event, float(second))
    return state


@pytest.mark.parametrize(
    ("outcome", "charged", "failed"),
    [
        (Outcome.COMPLETED, 4, 1),
        (Outcome.PRUNED, 4, 1),
        (Outcome.FAILED, 3, 2),
        (Outcome.INTERRUPTED, 3, 1),
        (Outcome.DOES_NOT_FIT, 3, 1),
        (Outcome.DUPLICATE, 3, 1),
    ],
)
def test_only_completed_and_pruned_trials_count_towards_the_total(outcome, charged, failed):
    start = started(counts={"completed": 2, "pruned": 1, "failed": 1, "running": 0, "waiting": 5})
    value = 0.5 if outcome is Outcome.COMPLETED else None
    state = fold(start, trial_started(9), trial_ended(9, outcome, value))
    assert (state.charged, state.counts[Outcome.FAILED], state.running) == (charged, failed, {})


@pytest.mark.parametrize(
    ("before", "value", "best"),
    [
        (None, 0.5, (9, 0.5)),
        ((3, 0.4), 0.5, (9, 0.5)),
        ((3, 0.5), 0.5, (3, 0.5)),
        ((3, 0.6), 0.5, (3, 0.6)),
        ((3, 0.6), None, (3, 0.6)),
    ],
)
def test_the_best_trial_is_the_first_of_the_highest_value(before, value, best):
    outcome = Outcome.COMPLETED if value else Outcome.PRUNED
    assert fold(started(best=before), trial_ended(9, outcome, value)).best == best


def test_a_running_trial_shows_its_last_epoch():
    events = (EpochTrained(number=0, epoch=epoch(number)) for number in (1, 2))
    running = fold(started(), trial_started(0, worker=1, retry_of=5), *events).running[0]
    assert (running.begun.worker, running.begun.retry_of) == (1, 5)
    assert (running.started, running.epoch) == (1.0, epoch(2))


@pytest.mark.parametrize("wrapped", [lambda event: event, lambda event: OfBaseline(name="b", event=event)])
def test_the_part_of_an_epoch_is_kept_until_the_epoch_is_over(wrapped):
    inside = ImagesSeen(number=0, epochs=1, images=500, of=1250)
    state = fold(started(), *map(wrapped, (trial_started(0), EpochTrained(number=0, epoch=epoch(1)), inside)))
    (running,) = state.running.values()
    assert (running.epoch, running.part) == (epoch(1), 0.4)
    state.add(wrapped(EpochTrained(number=0, epoch=epoch(2))), 5.0)
    assert (running.epoch, running.part) == (epoch(2), None)


def test_images_per_second_are_those_of_all_running_trials_together():
    state = fold(started(), trial_started(0), trial_started(1))
    assert state.images_per_second is None
    state.add(EpochTrained(number=0, epoch=epoch(1, rate=100)), 3.0)
    state.add(EpochTrained(number=1, epoch=epoch(1, rate=50)), 3.0)
    assert state.images_per_second == 150
    state.add(trial_ended(1, Outcome.PRUNED), 4.0)
    assert state.images_per_second == 100


@pytest.mark.parametrize(
    ("start", "events", "now", "left"),
    [
        (started(workers=1), [], 60, None),
        (started(workers=1), [trial_ended(0, Outcome.FAILED)], 60, None),
        (started(workers=1), [trial_ended(0, Outcome.COMPLETED, 0.5)], 60, 90),
        (started(workers=3), [trial_ended(0, Outcome.COMPLETED, 0.5)], 60, 30),
        (
            started(workers=1),
            [trial_ended(0, Outcome.PRUNED), trial_ended(1, Outcome.PRUNED, seconds=20)],
            60,
            120,
        ),
        (started(workers=1), [trial_ended(0, Outcome.PRUNED), trial_started(1)], 6, 86),
        (started(workers=1), [trial_ended(0, Outcome.PRUNED), trial_started(1)], 60, 80),
        (started(workers=1, time_limit=100), [trial_ended(0, Outcome.PRUNED)], 60, 40),
        (started(workers=1, time_limit=50), [trial_ended(0, Outcome.PRUNED)], 60, 0),
        (started(workers=4, trials=1), [trial_ended(0, Outcome.PRUNED)], 60, 0),
        (started(workers=4, counts={"completed": 12}), [], 60, 0),
    ],
)
def test_time_left_follows_the_mean_time_of_this_runs_charged_trials(start, events, now, left):
    assert fold(start, *events).time_left(now) == left


def forecast(**more):
    said = {"trials": 10, "seconds": 100.0, "low": 90.0, "high": 110.0, "known": True, "pruned": True}
    return Forecast(**said | {"starts": (4.0,), "mean": 10.0} | more)


@pytest.mark.parametrize(
    ("start", "events", "now", "left"),
    [
        ({}, [], 5, 4 + 9 * 10),
        ({"time_limit": 50}, [], 20, 30),
        # its epoch of 10 s is over after 2 s: 8 s to go, and the search has been as fast as predicted
        ({"epochs": 2}, [trial_started(0, epoch_seconds=5.0)], 4, 8 + 9 * 10 * 22 / 20),
        ({"epochs": 2}, [trial_started(0), trial_ended(0, Outcome.PRUNED)], 2, 9 * 10 * 20 / 30),
        ({"epochs": 2}, [trial_ended(0, Outcome.DUPLICATE)], 2, 10 * 10),
    ],
)
def test_time_left_follows_what_was_said_before_as_it_fares(start, events, now, left):
    state = SearchState(started(workers=1, **start), 0.0)
    for event in (forecast(), *events):
        state.add(event, 2.0)
    assert state.time_left(now) == pytest.approx(left)


def test_a_trial_that_runs_has_its_own_time_left():
    state = fold(started(epochs=4), trial_started(0, epoch_seconds=5.0))
    (running,) = state.running.values()
    assert running.left(4, 3.0) == 18.0
    state.add(EpochTrained(number=0, epoch=epoch(1)), 6.0)
    assert running.left(4, 7.0) == pytest.approx(3 * 4.2 - 1)


def test_what_was_said_before_the_first_trial_is_a_notice():
    state = fold(started(time_limit=60), forecast(fits=2, enough=120))
    assert [message.text for message in state.messages] == [
        "10 trials, about 1.5 minutes.",
        "2 of them are likely to end within 60s: --time-limit 2m would fit four.",
    ]


@pytest.mark.parametrize(
    ("start", "events", "expected"),
    [
        (started(notes=("3 images were skipped",)), [], ["notice: 3 images were skipped"]),
        (started(), [Notice(text="hello")], ["notice: hello"]),
        (started(), [trial_ended(4, Outcome.FAILED, reason="boom")], ["failure: Trial 4 failed: boom"]),
        (started(), [trial_ended(4, Outcome.PRUNED, reason="flat")], []),
        (
            started(target_accuracy=0.9),
            [SearchEnded(why="target")],
            ["notice: The target accuracy of 0.9 is reached."],
        ),
        (started(), [trial_ended(4, Outcome.PRUNED), SearchEnded(why="trials")], []),
    ],
)
def test_messages_are_what_a_person_should_read(start, events, expected):
    assert [f"{message.kind}: {message.text}" for message in fold(start, *events).messages] == expected


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("time", "time limit"),
        ("stopped", "again to go on"),
        ("exhausted", "exhausted"),
        ("trials", "Ask for more with --trials"),
    ],
)
def test_an_end_that_is_not_the_plain_one_says_what_to_do(why, said):
    (message,) = fold(started(), SearchEnded(why=why)).messages
    assert said in message.text


def test_a_worker_tells_its_device():
    assert fold(started(), WorkerReady(worker=1, device="NVIDIA H200")).devices == {1: "NVIDIA H200"}


def test_the_curve_goes_on_from_earlier_runs_with_the_best_so_far():
    start = started(best=(0, 0.5), curve=(0.25, 0.5))
    ends = [trial_ended(n, Outcome.COMPLETED, value) for n, value in ((1, 0.4), (2, 0.75))]
    assert fold(start, *ends, trial_ended(3, Outcome.PRUNED)).curve == [0.25, 0.5, 0.5, 0.75]


def test_the_last_reasons_of_pruned_and_unfit_trials_are_kept():
    outcomes = (Outcome.PRUNED, Outcome.DUPLICATE, Outcome.DOES_NOT_FIT, Outcome.FAILED, Outcome.PRUNED)
    ends = [
        trial_ended(number, outcome, reason=f"because {number}") for number, outcome in enumerate(outcomes)
    ]
    state = fold(started(), trial_ended(9, Outcome.PRUNED), *ends)
    assert [ended.reason for ended in state.reasons] == ["because 0", "because 2", "because 4"]


def test_reserved_memory_is_that_of_running_trials_by_device():
    start = started(budgets={"cuda:0": 10, "cuda:1": 10})
    begun = [trial_started(n, device=f"cuda:{n % 2}", reservation=n) for n in (1, 2, 4)]
    state = fold(start, *begun, trial_started(5), trial_ended(2, Outcome.PRUNED))
    assert state.reserved == {"cuda:0": 4, "cuda:1": 1}


def test_a_watcher_that_comes_late_counts_from_the_start():
    state = fold(started(seconds=100.0), trial_started(0, seconds=50.0))
    assert (state.elapsed(1.0), state.running[0].started) == (101.0, -49.0)
