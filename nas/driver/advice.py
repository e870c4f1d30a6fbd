"""What a person should know of the data before a search spends hours on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.metrics.base import ACCURACY
from nas.recipe import Recipe

MAJORITY = 1 / 2
"""A class with a larger part of the images makes accuracy say little of the others."""

UNEVEN = 1.2
"""Of two classes, one with so many times its fair share: half would tell nothing."""


def of_imbalance(recipe: Recipe, labels: NDArray[np.int64], classes: tuple[str, ...]) -> str | None:
    """One line where most training images are of one class and accuracy is what trials are ranked by."""
    if recipe.metric != ACCURACY:
        return None
    images = np.bincount(labels, minlength=len(classes))
    most = int(images.argmax())
    share = images[most] / len(labels)
    if share <= max(MAJORITY, UNEVEN / len(classes)):
        return None
    weigh = "" if recipe.fixed.get("class_weights") else ", perhaps with --class-weights balanced"
    return (
        f"{share:.0%} of the training images are of class {classes[most]!r}: a network that knows no other"
        f" has that accuracy. A study with --metric balanced_accuracy{weigh} looks at all classes alike."
    )
