"""The seam of metrics. A study has one: what it says of the validation images is the *value* of a trial.

A metric is a file of this room, or a module that an entry point of the group `nas.metrics` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.machine.plugins import METRICS
from nas.metrics._intervals import of_mean as of_mean
from nas.metrics._intervals import wilson as wilson

ACCURACY = "accuracy"
"""The metric of a study that names none, and of those from before there were others."""

Rows = Sequence[Sequence[int]]
"""Of each class: its hits, its images, and how often it was predicted."""


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """How images were classified: all that a metric looks at. Arrays are int64 (..., classes)."""

    hits: NDArray[np.int64]
    """Images of a class that were taken for it."""
    support: NDArray[np.int64]
    """Images of a class."""
    predicted: NDArray[np.int64]
    """Images that were taken for a class."""

    @classmethod
    def of(cls, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> ClassCounts:
        """Of images (n,) with these labels and predictions."""
        counted = (labels[labels == predicted], labels, predicted)
        return cls(*(np.bincount(each, minlength=classes) for each in counted))

    @classmethod
    def from_rows(cls, rows: Rows) -> ClassCounts:
        """As they are sent and stored."""
        return cls(*np.asarray(rows, np.int64).reshape(-1, 3).T)

    def rows(self) -> list[list[int]]:
        """Plain data, one class a row; of arrays (classes,)."""
        found: list[list[int]] = np.stack([self.hits, self.support, self.predicted], axis=1).tolist()
        return found

    @property
    def recalls(self) -> NDArray[np.float64]:
        """(..., classes): the part of each class's images that is classified right; NaN without any."""
        return parts(self.hits, self.support)


class Metric(Protocol):
    """A module that is a metric. It imports nothing heavier than numpy."""

    TITLE: str
    """What people call it, such as "balanced accuracy"."""
    SHORT: str
    """The same at the head of a narrow column."""

    def of(self, counts: ClassCounts) -> NDArray[np.float64]:
        """(...): in [0, 1], more is better."""
        ...

    def interval(self, counts: ClassCounts) -> tuple[float, float]:
        """Bounds within which it lies at 95 %, as far as so many images tell; of arrays (classes,)."""
        ...


class Named:
    """A metric whose errors are shown with its name and line, if it is none of ours."""

    def __init__(self, name: str) -> None:
        """Raises:
        UnknownName: there is none of this name.
        BrokenFile: that of another distribution cannot be imported; what follows may raise it too.
        """
        self.name = name
        self._module: Metric = METRICS.find(name)
        self.title: str = self._module.TITLE

    def of(self, counts: ClassCounts) -> NDArray[np.float64]:
        """As of `Metric`."""
        with METRICS.at_work(self.name):
            found = np.asarray(self._module.of(counts), np.float64)
        if not ((found >= 0) & (found <= 1)).all():
            raise METRICS.broken(self.name, f"{found.ravel()[0]} is not in [0, 1]")
        return found

    def value(self, counts: ClassCounts) -> float:
        """Of arrays (classes,)."""
        return float(self.of(counts))

    def interval(self, counts: ClassCounts) -> tuple[float, float]:
        """As of `Metric`."""
        with METRICS.at_work(self.name):
            low, high = self._module.interval(counts)
        return float(low), float(high)


def metric_title(name: str) -> str:
    """What people call a metric, also one that is not installed here."""
    return _words(name, "TITLE", name.replace("_", " "))


def metric_short(name: str) -> str:
    """The same at the head of a narrow column."""
    return _words(name, "SHORT", name.replace("_", " "))


def _words(name: str, which: str, otherwise: str) -> str:
    try:
        module: Any = METRICS.find(name)
    except NasError:  # a study can be shown without it
        return otherwise
    return str(getattr(module, which))


def parts(some: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Quotients; NaN where `whole` is 0."""
    found: NDArray[np.float64] = np.divide(
        some, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0
    )
    return found
