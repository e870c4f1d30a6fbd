"""Metrics against scikit-learn's, and their intervals against what they promise."""

import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from nas.errors import BrokenFile
from nas.machine.plugins import METRICS
from nas.metrics.base import ClassCounts, Named, metric_short, metric_title

THEIRS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda labels, predicted: f1_score(labels, predicted, average="macro"),
}


def counts(confusion: list[list[int]]) -> ClassCounts:
    table = np.array(confusion)
    return ClassCounts(table.diagonal(), table.sum(1), table.sum(0))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was")
@pytest.mark.parametrize("name", METRICS.shipped())
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_metric_is_that_of_scikit_learn_whatever_classes_are_there(name, pairs):
    labels, predicted = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    found = Named(name).value(ClassCounts.of(labels, predicted, 5))
    assert found == pytest.approx(THEIRS[name](labels, predicted))


@pytest.mark.parametrize("name", METRICS.shipped())
def test_counts_of_many_samples_are_judged_at_once(name):
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 3, (2, 7, 50))
    each = [ClassCounts.of(*pair, 3) for pair in zip(labels, predicted, strict=True)]
    stacked = ClassCounts(*(np.stack([getattr(one, part) for one in each]) for part in vars(each[0])))
    assert Named(name).of(stacked).tolist() == [Named(name).value(one) for one in each]


@pytest.mark.parametrize("name", METRICS.shipped())
def test_counts_are_the_same_after_they_were_stored(name):
    before = counts([[90, 5], [3, 2]])
    assert Named(name).value(ClassCounts.from_rows(before.rows())) == Named(name).value(before)


def test_the_interval_of_accuracy_is_wilsons():
    wilson = binomtest(92, 100).proportion_ci(method="wilson")
    assert Named("accuracy").interval(counts([[90, 5], [3, 2]])) == pytest.approx(tuple(wilson), abs=1e-6)


@pytest.mark.parametrize("name", METRICS.shipped())
@pytest.mark.parametrize("images", [(950, 50), (190, 10), (50, 50, 50), (400, 30, 30, 20, 20)], ids=str)
def test_an_interval_holds_the_truth_19_times_in_20(name, images):
    """Networks that classify a part of each class right and take the others for the next class."""
    random, metric, held = np.random.default_rng(0), Named(name), 0
    truth = np.zeros((len(images), len(images)), np.int64)
    for place, number in enumerate(images):
        wrong = number // 5
        truth[place, place], truth[place, (place + 1) % len(images)] = number - wrong, wrong
    value = metric.value(counts(truth.tolist()))
    for _ in range(400):
        drawn = random.multinomial(sum(images), (truth / sum(images)).ravel()).reshape(truth.shape)
        low, high = metric.interval(counts(drawn.tolist()))
        held += low <= value <= high
    assert held / 400 >= 0.917  # 0.95, less three standard errors of 400 draws


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1"])
def test_a_few_images_that_are_all_right_leave_doubt(name):
    low, high = Named(name).interval(counts([[900, 0], [0, 4]]))
    assert low < 0.8
    assert high == 1


@pytest.mark.parametrize(
    ("name", "title", "short"),
    [
        ("accuracy", "accuracy", "acc"),
        ("balanced_accuracy", "balanced accuracy", "bal. acc"),
        ("macro_f1", "macro F1", "F1"),
        ("of_others", "of others", "of others"),
    ],
)
def test_a_metric_has_a_name_also_where_it_is_not_installed(name, title, short):
    assert (metric_title(name), metric_short(name)) == (title, short)


@pytest.mark.parametrize(
    ("body", "said"),
    [("1 / 0", "division by zero"), ("3.0", "3.0 is not in"), ("float('nan')", "nan is not in")],
)
def test_what_is_wrong_with_a_metric_of_others_is_told_in_one_line(tmp_path, monkeypatch, body, said):
    facts = tmp_path / "broken-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[nas.metrics]\ntheirs = broken_metric\n")
    source = f"TITLE = SHORT = 'theirs'\ndef of(counts):\n    return {body}\ndef interval(counts): ...\n"
    (tmp_path / "broken_metric.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_metric", raising=False)
    with pytest.raises(BrokenFile, match=f"Metric 'theirs' .*{re.escape(said)}"):
        Named("theirs").value(counts([[1, 0], [0, 1]]))
