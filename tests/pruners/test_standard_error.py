"""A trial ends when it lies behind every good curve, by more than its validation images leave to chance."""

from dataclasses import replace

import pytest

from nas.pruners.base import make_pruner
from nas.pruners.standard_error import StandardErrorPruner, bar, good_of
from nas.study.outcome import Outcome
from nas.testing.pruners import DATA, decisions, epoch, new_study

FAST = (0.5, 0.6, 0.7, 0.8)
SLOW = (0.1, 0.2, 0.4, 0.75)
"""As good as FAST over 100 validation images, but for chance."""
POOR = (0.5, 0.5, 0.5, 0.5)


class Stored:
    """A study as a pruner sees it, after these trials were finished one after the other."""

    info = replace(DATA, num_train=1000, num_val=100)

    def __init__(self):
        self.curves, self.values = [], set()

    def completed(self):
        return self.values

    def curve(self, number):
        return list(zip(range(1000, 9000, 1000), self.curves[number], strict=False))


@pytest.mark.parametrize(
    ("curves", "trained"),
    [
        ([SLOW, POOR, FAST], [4, 4, 4]),  # what is better than all that finished goes on
        ([FAST, SLOW], [4, 1]),
        ([SLOW, FAST, SLOW], [4, 4, 4]),  # one good curve was as slow
        ([POOR, FAST, SLOW], [4, 4, 1]),  # a poor one is no excuse
        ([FAST, SLOW, FAST], [4, 1, 4]),  # neither is one that was ended
        ([FAST, (0.4, 0.1, 0.1, 0.1)], [4, 3]),  # the best so far counts: a bad epoch may be chance
        ([FAST, (0.3, 0.4, 0.5, 0.6)], [4, 4]),  # behind, but not beyond chance
    ],
)
def test_it_ends_what_lies_behind_every_good_curve(curves, trained):
    stored, lengths = Stored(), []
    pruner = StandardErrorPruner(stored)
    for number, curve in enumerate(curves):
        for length in range(1, len(curve) + 1):
            stored.curves[number:] = [curve[:length]]
            if length < len(curve) and pruner.stop(number, 1000 * length, curve[length - 1]):
                break
        else:
            stored.values.add(number)
        lengths.append(length)
    assert lengths == trained


def test_it_compares_with_what_is_stored_as_finished_and_says_so(tmp_path):
    study = new_study("standard_error", tmp_path)
    for outcome in (Outcome.PRUNED, Outcome.FAILED, Outcome.INTERRUPTED):
        other = study.ask()
        study.report(other, epoch(1, 0.9))
        study.tell(other.number, outcome, reason="so it goes")
    first, (reason,) = decisions(study, [FAST, SLOW])
    assert first == [None] * 3
    assert reason == "0.1000 after 1,000 images, where every good trial had 0.5000 or more"
    retry = study.ask()  # whose first epochs are those of the trial that it repeats
    for number, accuracy in enumerate((0.6, 0.6, 0.3), start=1):
        study.report(retry, epoch(number, accuracy))
    assert make_pruner(study).stop(retry.number, 3000, 0.3) is None


def test_more_than_a_thousand_images_are_trusted_no_further():
    good, curve = [[(100, 0.5)]], [(100, 0.44)]
    assert bar(curve, good, num_val=1000) is None
    assert bar(curve, good, num_val=100_000) is None
    assert bar([(100, 0.43)], good, num_val=1000) == 0.5


def test_a_good_curve_that_says_nothing_yet_ends_nobody():
    assert bar([(50, 0.1)], [[(100, 0.9)]], num_val=1000) is None


def test_good_is_what_ends_as_high_as_the_best_but_for_chance():
    curves = [[(1, accuracy)] for accuracy in (0.5, 0.46, 0.45)]
    assert good_of(curves, num_val=1000) == curves[:2]
    assert good_of([], num_val=1000) == []
