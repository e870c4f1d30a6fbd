"""Intervals against the formulas that they tend to, and counts against predictions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nas.final.scores import accuracy_interval, class_accuracies, confusion_matrix, gain_interval
from nas.machine.plugins import METRICS
from nas.metrics.base import Named

Z = 1.959964


@pytest.mark.parametrize(
    ("right", "images"),
    [(900, 1000), (9400, 10_000), (180, 360), (360, 360), (0, 10), (1, 1), (4321, 5000)],
)
def test_the_interval_of_an_accuracy_is_wilsons_at_the_edge_too(right, images):
    interval = binomtest(right, images).proportion_ci(method="wilson")
    assert accuracy_interval(right / images, images) == pytest.approx(tuple(interval), abs=1e-6)


def predictions(won: int, lost: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of 2,000 images of two classes, and what two networks say of them."""
    images, both = 2000, 1000
    ours, theirs = np.zeros(images, bool), np.zeros(images, bool)
    ours[: both + won] = True
    theirs[:both] = True
    theirs[both + won : both + won + lost] = True
    labels = np.arange(images) % 2
    return labels, np.where(ours, labels, 1 - labels), np.where(theirs, labels, 1 - labels)


@pytest.mark.parametrize(("won", "lost"), [(80, 20), (300, 300), (5, 40)])
def test_the_interval_of_a_gain_is_paired(won, lost):
    images = 2000
    gain = (won - lost) / images
    half = Z * math.sqrt(((won + lost) / images - gain**2) / images)  # of McNemar's test
    low, high = gain_interval(Named("accuracy"), *predictions(won, lost), 2)
    assert low == pytest.approx(gain - half, abs=1 / images + 0.04 * half)
    assert high == pytest.approx(gain + half, abs=1 / images + 0.04 * half)


@pytest.mark.parametrize("metric", METRICS.shipped())
def test_a_gain_of_nothing_is_certain(metric):
    labels, some, _ = predictions(300, 0)
    assert gain_interval(Named(metric), labels, some, some, 2) == (0.0, 0.0)


def test_the_interval_of_a_gain_is_of_the_metric():
    """A rare class that only we see is a small gain of accuracy, and a large one of balanced accuracy."""
    labels = (np.arange(1000) < 50).astype(int)
    low, high = gain_interval(Named("accuracy"), labels, labels, np.zeros_like(labels), 2)
    assert 0 < low < 0.05 < high < 0.1
    assert gain_interval(Named("balanced_accuracy"), labels, labels, np.zeros_like(labels), 2) == (0.5, 0.5)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_confusion_matrix_counts_every_image_once(pairs):
    labels, predicted = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    confusion = confusion_matrix(labels, predicted, 5)
    assert all(
        confusion[true, taken] == pairs.count((true, taken)) for true in range(5) for taken in range(5)
    )
    for true, accuracy in enumerate(class_accuracies(confusion)):
        mine = predicted[labels == true]
        assert accuracy == (pytest.approx((mine == true).mean()) if len(mine) else None)
