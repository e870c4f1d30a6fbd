"""A trial ends when it lies behind every good curve, by more than its validation images leave to chance."""

from dataclasses import replace
from typing import ClassVar

import pytest

from nas.pruners.base import make_pruner
from nas.pruners.standard_error import TRUSTED, StandardErrorPruner, behind, good_of, trusted_images
from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.testing.pruners import DATA, decisions, epoch, new_study

FAST = (0.5, 0.6, 0.7, 0.8)
SLOW = (0.1, 0.2, 0.4, 0.75)
"""As good as FAST over 100 validation images, but for chance."""
POOR = (0.5, 0.5, 0.5, 0.5)


class Stored:
    """A study as a pruner sees it, after these trials were finished one after the other."""

    info = replace(DATA, num_train=1000, num_val=100)
    recipe = Recipe(metric="accuracy")
    data: ClassVar = {"class_counts": {"val": [50, 50]}}

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


EPOCH = 100


def test_more_than_a_thousand_images_are_trusted_no_further():
    good, curve = [[(100, 0.5)]], [(100, 0.44)]
    assert behind(curve, good, 1000, EPOCH) is None
    assert behind(curve, good, trusted_images("accuracy", [100_000]), EPOCH) is None
    assert behind([(100, 0.43)], good, 1000, EPOCH) == (0.43, 0.5)


def test_a_good_curve_that_says_nothing_yet_ends_nobody():
    assert behind([(50, 0.1)], [[(100, 0.9)]], 1000, EPOCH) is None


def test_good_is_what_ends_as_high_as_the_best_but_for_chance():
    curves = [[(1, accuracy)] for accuracy in (0.5, 0.46, 0.45)]
    assert good_of(curves, 1000) == curves[:2]
    assert good_of([], 1000) == []


def test_a_rare_class_makes_a_mean_over_classes_less_certain():
    assert trusted_images("accuracy", [950, 50]) == 1000
    assert trusted_images("accuracy", [9500, 500]) == TRUSTED
    assert trusted_images("balanced_accuracy", [500, 500]) == pytest.approx(1000)
    assert trusted_images("balanced_accuracy", [950, 50]) == pytest.approx(190)
    assert trusted_images("macro_f1", [950, 50, 0]) == pytest.approx(190)


def test_what_was_found_within_the_first_epoch_counts_there_alone():
    lucky = [(50, 0.6), (100, 0.3), (200, 0.4)]
    assert behind([(100, 0.25)], [lucky], 1000, EPOCH) is None
    assert behind([(50, 0.3)], [lucky], 1000, EPOCH) == (0.3, 0.6)
