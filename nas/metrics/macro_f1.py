"""The mean over classes of F1, the harmonic mean of a class's precision and recall.

Classes without an image that are never predicted are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.metrics.base import ClassCounts, of_mean, parts, wilson

TITLE = "macro F1"
SHORT = "F1"


def of(counts: ClassCounts) -> NDArray[np.float64]:
    return np.asarray(np.nanmean(parts(2 * counts.hits, counts.support + counts.predicted), axis=-1))


def interval(counts: ClassCounts) -> tuple[float, float]:
    """From Wilson's of each class.

    F1 is 2j / (1 + j), where j is the share of hits among all images that are of the class or taken for it.
    An image that is taken for another class counts in the F1 of both.
    """
    union = counts.support + counts.predicted - counts.hits
    there = union > 0
    shares, images = parts(counts.hits, union)[there].tolist(), union[there].tolist()
    bounds = [wilson(share, of) for share, of in zip(shares, images, strict=True)]
    return of_mean(
        [(_f1(j), (_f1(low), _f1(high))) for j, (low, high) in zip(shares, bounds, strict=True)], shared=2
    )


def _f1(j: float) -> float:
    return 2 * j / (1 + j)
