"""How long it will go on, and how that is said."""

import pytest

from nas.events import Forecast
from nas.views.outlook import about, flag, forecast_lines, search_left, trial_left


@pytest.mark.parametrize(
    ("predicted", "taken", "part", "since", "left"),
    [
        (None, [], None, 5, None),
        (10, [], None, 0, 40),
        (10, [], None, 4, 36),
        (10, [], None, 15, 45),  # it takes longer than predicted: so will the others
        (10, [], 0.5, 10, 5 + 3 * 15),
        (None, [], 0.5, 10, 10 + 3 * 20),
        (10, [20], None, 0, 60),
        (10, [20], 0.5, 5, 10 + 2 * 20),
        (None, [20, 8, 8], None, 2, 6),
        (10, [20, 8, 8, 8], None, 0, 0),
        (None, [1, 1, 1, 1], None, 5, 0),
    ],
)
def test_the_time_left_of_a_trial_is_predicted_and_then_measured(predicted, taken, part, since, left):
    assert trial_left(predicted, taken, 4 - len(taken), part, since) == left


def forecast(**more):
    said = {"trials": 10, "seconds": 100.0, "low": 90.0, "high": 110.0, "known": True, "pruned": True}
    return Forecast(**said | {"starts": (5.0, 15.0), "mean": 10.0} | more)


@pytest.mark.parametrize(
    ("facts", "left"),
    [
        ({}, 100),
        ({"begun": 1, "running": [5]}, 5 + 15 + 8 * 10),
        ({"begun": 2, "remaining": 8, "ran": 20, "done": 20}, 80),
        ({"begun": 2, "remaining": 8, "ran": 60, "done": 20}, 80 * 80 / 40),  # slower than predicted
        ({"begun": 2, "remaining": 8, "ran": 0, "done": 20}, 80 * 20 / 40),  # all were pruned
        ({"begun": 2, "remaining": 8, "ran": 10, "done": 20, "workers": 2}, 40),
        ({"begun": 10, "remaining": 1, "running": [30], "workers": 4}, 30),
        ({"begun": 10, "remaining": 2, "running": [30, 3], "workers": 2}, 30),
    ],
)
def test_the_time_left_of_a_search_is_what_was_predicted_as_it_has_fared_so_far(facts, left):
    start = {"remaining": 10, "begun": 0, "workers": 1, "ran": 0.0, "done": 0.0, "running": []}
    assert search_left(forecast(), **start | facts) == pytest.approx(left)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.3, None, "about 0.5 seconds"),
        (1.1, None, "about 1 second"),
        (13.4, None, "about 13 seconds"),
        (52, None, "about 50 seconds"),
        (100, None, "about 1.5 minutes"),
        (840, None, "about 14 minutes"),
        (2500, None, "about 40 minutes"),
        (3600, None, "about 60 minutes"),
        (7000, None, "about 2 hours"),
        (400_000, None, "about 110 hours"),
        (50, 100, "about 1 to 1.5 minutes"),
        (600, 1200, "about 10 to 20 minutes"),
        (3000, 9000, "about 1 to 2.5 hours"),
        (590, 610, "about 10 minutes"),
    ],
)
def test_a_time_is_rounded_as_people_do(low, high, words):
    assert about(low, high) == words


@pytest.mark.parametrize(
    ("more", "limit", "lines"),
    [
        ({}, None, ["10 trials, about 1.5 minutes."]),
        ({"trials": 1}, None, ["1 more trial, about 1.5 minutes."]),
        ({"low": 50, "high": 200}, None, ["10 trials, about 1 to 3 minutes."]),
        ({"pruned": False}, None, ["10 trials, about 1.5 minutes if none is pruned."]),
        (
            {"known": False},
            None,
            ["10 trials, about 1.5 minutes; little was timed on this device yet, so this is a guess."],
        ),
        ({"fits": 10}, 300, ["10 trials, about 1.5 minutes."]),
        ({"fits": 7}, 60, ["10 trials, about 1.5 minutes.", "7 of them are likely to end within 60s."]),
        (
            {"fits": 1, "enough": 180},
            60,
            [
                "10 trials, about 1.5 minutes.",
                "One of them is likely to end within 60s: --time-limit 3m would fit four.",
            ],
        ),
        (
            {"trials": 3, "fits": 0, "enough": 5400},
            3600,
            [
                "3 more trials, about 1.5 minutes.",
                "None of them is likely to end within 1h: --time-limit 1h30m would fit them all.",
            ],
        ),
    ],
)
def test_what_is_asked_for_is_answered_in_a_line_and_a_limit_that_is_too_short_in_another(more, limit, lines):
    assert forecast_lines(forecast(**more), 10, limit) == lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "20s"), (90, "90s"), (120, "2m"), (150, "150s"), (3600, "1h"), (5400, "1h30m"), (86400, "24h")],
)
def test_a_limit_is_named_as_the_flag_takes_it(seconds, text):
    from nas.recipe import Recipe

    assert flag(seconds) == text
    assert Recipe.load(time_limit=text).time_limit == seconds
