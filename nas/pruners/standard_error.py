"""Ends a trial that lies behind every good curve, by more than chance explains.

Good are the finished trials whose value is that of the best, but for chance. A trial is compared with the
lowest of them after as many images, best so far against best so far: it learns slower than all that did well.
Without a finished trial none ends. A reason for two and three standard errors, and for the limit of what a
validation split is trusted with: `tests/benchmarks/rungs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nas.metrics.base import ACCURACY
from nas.study.reader import StudyReader
from nas.training.partial import ENOUGH

Curve = Sequence[tuple[int, float]]
"""Images seen and value in [0, 1], in the order of images."""

GOOD = 2.0
"""Standard errors of the difference to the best, up to which a finished trial is as good."""

MARGIN = 3.0
"""Standard errors of the difference to every good curve, beyond which a trial ends."""

TRUSTED = ENOUGH
"""Validation images that count: what more of them could tell apart is how fast a network learns, not how far
it gets."""


def trusted_images(metric: str, counts: Sequence[int]) -> float:
    """So many images, drawn at random, tell as much of an accuracy as the validation split of the metric.

    A mean over classes knows as much of each as it has images: it is K^2 / sum(1 / n_k) for K classes.

    Args:
        counts: validation images by class.
    """
    images = float(sum(counts))
    if metric != ACCURACY:
        present = [count for count in counts if count]
        images = min(images, len(present) ** 2 / sum(1 / count for count in present))
    return images * min(1, TRUSTED / sum(counts))


def standard_error(one: float, other: float, images: float) -> float:
    """Of the difference between two values in [0, 1], each over so many images."""
    return math.sqrt((one * (1 - one) + other * (1 - other)) / images)


def good_of(finished: Iterable[Curve], images: float) -> list[Curve]:
    """Those that end as high as the highest, but for chance."""
    curves = list(finished)
    best = max((curve[-1][1] for curve in curves), default=0.0)

    def near(value: float) -> bool:
        return best - value <= GOOD * standard_error(best, value, images)

    return [curve for curve in curves if near(curve[-1][1])]


def best_by(curve: Curve, images_seen: int, epoch: int) -> float:
    """The highest value after at most so many images; 0 before any.

    Args:
        epoch: images of an epoch. Within the first one fewer images are validated on, and not in all trials:
            what is found there counts there alone.
    """
    within = images_seen < epoch
    found = (value for seen, value in curve if seen <= images_seen and (seen < epoch) == within)
    return max(found, default=0.0)


def behind(
    curve: Curve, good: Iterable[Curve], images: float, epoch: int, margin: float = MARGIN
) -> tuple[float, float] | None:
    """The best of `curve` so far, and the lowest of the good ones after as many images, if it lies behind
    them by more than chance explains; else None."""
    images_seen = curve[-1][0]
    mine = best_by(curve, images_seen, epoch)
    lowest = min((best_by(each, images_seen, epoch) for each in good), default=0.0)
    return (mine, lowest) if lowest - mine > margin * standard_error(mine, lowest, images) else None


class StandardErrorPruner:
    """Knows the finished trials of a study: those that were there, and those that come."""

    def __init__(self, study: StudyReader) -> None:
        self._study = study
        self._epoch = study.info.num_train
        counts = study.data["class_counts"]["val"] if "class_counts" in study.data else [study.info.num_val]
        self._images = trusted_images(study.recipe.metric, counts)
        self._finished: dict[int, Curve] = {}
        """By number."""

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        for other in self._study.completed() - self._finished.keys():
            self._finished[other] = self._study.curve(other)
        good = good_of(self._finished.values(), self._images)
        found = behind(self._study.curve(number), good, self._images, self._epoch)
        if found is None:
            return None
        mine, lowest = found
        return f"{mine:.4f} after {images_seen:,} images, where every good trial had {lowest:.4f} or more"


def make(study: StudyReader) -> StandardErrorPruner:
    return StandardErrorPruner(study)
