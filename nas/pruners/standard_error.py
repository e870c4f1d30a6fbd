"""Ends a trial that lies behind every good curve, by more than chance explains.

Good are the finished trials whose accuracy is that of the best, but for chance. A trial is compared with the
lowest of them after as many images, best so far against best so far: it learns slower than all that did well.
Without a finished trial none ends. A reason for two and three standard errors, and for the limit of what a
validation split is trusted with: `tests/benchmarks/rungs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nas.study.reader import StudyReader
from nas.training.partial import ENOUGH

Curve = Sequence[tuple[int, float]]
"""Images seen and accuracy in [0, 1], in the order of images."""

GOOD = 2.0
"""Standard errors of the difference to the best, up to which a finished trial is as good."""

MARGIN = 3.0
"""Standard errors of the difference to every good curve, beyond which a trial ends."""

TRUSTED = ENOUGH
"""Validation images that count: what more of them could tell apart is how fast a network learns, not how far
it gets."""


def standard_error(one: float, other: float, num_val: int) -> float:
    """Of the difference between two accuracies in [0, 1], each over so many validation images."""
    return math.sqrt((one * (1 - one) + other * (1 - other)) / min(num_val, TRUSTED))


def best_by(curve: Curve, images_seen: int) -> float:
    """The highest accuracy after at most so many images; 0 before any."""
    return max((accuracy for seen, accuracy in curve if seen <= images_seen), default=0.0)


def good_of(finished: Iterable[Curve], num_val: int) -> list[Curve]:
    """Those that end as high as the highest, but for chance."""
    curves = list(finished)
    best = max((curve[-1][1] for curve in curves), default=0.0)

    def near(accuracy: float) -> bool:
        return best - accuracy <= GOOD * standard_error(best, accuracy, num_val)

    return [curve for curve in curves if near(curve[-1][1])]


def bar(curve: Curve, good: Iterable[Curve], num_val: int, margin: float = MARGIN) -> float | None:
    """The lowest of the good curves after as many images as `curve` has seen, if it lies behind it by more
    than chance explains; else None."""
    images_seen = curve[-1][0]
    mine = best_by(curve, images_seen)
    lowest = min((best_by(each, images_seen) for each in good), default=0.0)
    return lowest if lowest - mine > margin * standard_error(mine, lowest, num_val) else None


class StandardErrorPruner:
    """Knows the finished trials of a study: those that were there, and those that come."""

    def __init__(self, study: StudyReader) -> None:
        self._study = study
        self._num_val = study.info.num_val
        self._finished: dict[int, Curve] = {}
        """By number."""

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        for other in self._study.completed() - self._finished.keys():
            self._finished[other] = self._study.curve(other)
        good = good_of(self._finished.values(), self._num_val)
        lowest = bar(self._study.curve(number), good, self._num_val)
        if lowest is None:
            return None
        return f"{value:.4f} after {images_seen:,} images, where every good trial had {lowest:.4f} or more"


def make(study: StudyReader) -> StandardErrorPruner:
    return StandardErrorPruner(study)
