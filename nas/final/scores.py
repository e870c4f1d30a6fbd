"""What predictions on test images are worth: accuracy, its interval, class by class, and against others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000

LEVEL = 0.95

Z = 1.959964
"""Standard deviations of a normal distribution within which that part of it lies."""

SEED = 0
"""Seed of the resampling: the same predictions give the same interval."""

Labels = NDArray[np.int64]
"""(images,): indices of classes."""

Hits = NDArray[np.bool_]
"""(images,): whether each was classified right."""


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """The Wilson score interval at 95 % of an accuracy measured on so many images.

    Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    centre = (accuracy + Z**2 / (2 * images)) / (1 + Z**2 / images)
    half = Z / (1 + Z**2 / images) * math.sqrt(accuracy * (1 - accuracy) / images + Z**2 / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def gain_interval(ours: Hits, theirs: Hits) -> tuple[float, float]:
    """The percentile bootstrap interval at 95 % of the difference of two accuracies on the same images.

    Paired: an image is drawn for both. It counts +1 where only we are right, -1 where only they are.
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    images = len(ours)
    won, lost = float(np.mean(ours & ~theirs)), float(np.mean(theirs & ~ours))
    chances = [won, lost, max(0.0, 1 - won - lost)]
    drawn = np.random.default_rng(SEED).multinomial(images, chances, RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / images, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


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
