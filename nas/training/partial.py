"""What a trial tells within its first epoch, so that no decision need wait for its end. No torch here."""

from dataclasses import dataclass

FIRST = 2560
"""Training images before the first report; each other one comes after twice as many as the one before. Every
power of two up to 512 divides them: whatever its batch size, a trial reports after as many as others."""

ENOUGH = 1000
"""Validation images that a report within an epoch is based on, at most."""


@dataclass(frozen=True, kw_only=True)
class PartialReport:
    """Validation on a part of the split, in the midst of an epoch."""

    images_seen: int
    """Training images so far, each as often as it was seen."""
    val_images: int
    """Validation images that were looked at."""
    val_accuracy: float
    """Accuracy on these, in [0, 1]."""


def report_points(num_train: int) -> tuple[int, ...]:
    """Training images after which a trial reports within its first epoch of `num_train`.

    They depend on the data alone: all trials of a study are compared at the same points. In the recorded
    curves an epoch had 2,500 images, and what was known after as many ended the right trials.
    """
    points = list[int]()
    while FIRST << len(points) <= num_train // 2:  # later ones would only hurry the epoch's own
        points.append(FIRST << len(points))
    return tuple(points)
