"""What predictions on test images are worth: class by class, and against others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.metrics.base import ClassCounts, Named
from nas.metrics.base import wilson as accuracy_interval

__all__ = ["accuracy_interval", "class_accuracies", "confusion_matrix", "gain_interval"]

RESAMPLES = 10_000

AT_ONCE = 250
"""Resamples that are counted together."""

LEVEL = 0.95

SEED = 0
"""Seed of the resampling: the same predictions give the same interval."""

Labels = NDArray[np.int64]
"""(images,): indices of classes."""

Drawn = NDArray[np.int64]
"""(resamples, cells): images that were drawn of each cell."""


def gain_interval(
    metric: Named, labels: Labels, ours: Labels, theirs: Labels, classes: int
) -> tuple[float, float]:
    """The percentile bootstrap interval at 95 % of the difference of two values on the same images.

    Paired: an image is drawn for both.
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    cells, images = np.unique(np.stack([labels, ours, theirs]), axis=1, return_counts=True)
    truth, mine, other = cells
    random = np.random.default_rng(SEED)
    gains = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = random.multinomial(len(labels), images / len(labels), AT_ONCE)
        ours_of, theirs_of = (_counts(drawn, truth, predicted, classes) for predicted in (mine, other))
        gains.append(metric.of(ours_of) - metric.of(theirs_of))
    low, high = np.quantile(np.concatenate(gains), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _counts(drawn: Drawn, truth: Labels, predicted: Labels, classes: int) -> ClassCounts:
    right = truth == predicted
    return ClassCounts(
        hits=_by_class(drawn[:, right], truth[right], classes),
        support=_by_class(drawn, truth, classes),
        predicted=_by_class(drawn, predicted, classes),
    )


def _by_class(drawn: Drawn, classes_of: Labels, classes: int) -> NDArray[np.int64]:
    """(resamples, classes): the images of the cells of each class together."""
    counted = np.zeros((len(drawn), classes), np.int64)
    order = np.argsort(classes_of, kind="stable")
    present, starts = np.unique(classes_of[order], return_index=True)
    if len(present):
        counted[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return counted


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """(classes, classes): images of the class of the row that were taken for the class of the column."""
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def class_accuracies(confusion: NDArray[np.int64]) -> list[float | None]:
    """The part of each class's images that was classified right; None for a class without images."""
    totals = confusion.sum(axis=1)
    return [
        float(right / total) if total else None
        for right, total in zip(confusion.diagonal(), totals, strict=True)
    ]
