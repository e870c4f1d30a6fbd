"""The share of all images that are classified right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.metrics.base import ClassCounts, wilson

TITLE = "accuracy"
SHORT = "acc"


def of(counts: ClassCounts) -> NDArray[np.float64]:
    found: NDArray[np.float64] = counts.hits.sum(-1) / counts.support.sum(-1)
    return found


def interval(counts: ClassCounts) -> tuple[float, float]:
    """Wilson's."""
    return wilson(float(of(counts)), int(counts.support.sum()))
