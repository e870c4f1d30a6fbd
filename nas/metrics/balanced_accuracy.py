"""The mean over classes of the share of a class's images that are classified right.

A rare class counts as much as a common one. Classes without an image are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.metrics.base import ClassCounts, of_mean, wilson

TITLE = "balanced accuracy"
SHORT = "bal. acc"


def of(counts: ClassCounts) -> NDArray[np.float64]:
    return np.asarray(np.nanmean(counts.recalls, axis=-1))


def interval(counts: ClassCounts) -> tuple[float, float]:
    """From Wilson's of each class."""
    there = counts.support > 0
    shares, images = counts.recalls[there].tolist(), counts.support[there].tolist()
    return of_mean((share, wilson(share, of)) for share, of in zip(shares, images, strict=True))
