"""How far numbers that were measured on so many images can be trusted, at 95 %."""

from __future__ import annotations

import math
from collections.abc import Iterable

Z = 1.959964
"""Standard deviations of a normal distribution within which that part of it lies."""

Interval = tuple[float, float]


def wilson(share: float, images: float) -> Interval:
    """The score interval of a share of so many images.

    Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    centre = (share + Z**2 / (2 * images)) / (1 + Z**2 / images)
    half = Z / (1 + Z**2 / images) * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def of_mean(estimates: Iterable[tuple[float, Interval]], *, shared: float = 1.0) -> Interval:
    """The interval of the mean of some estimates, from an interval of each.

    The distances to their bounds are added like standard deviations: Zou and Donner, Construction of
    confidence limits about effect measures, 2008. Unlike resampling it is honest about a class of which a few
    images were all classified right.

    Args:
        shared: in how many of the estimates, at most, one image counts.
    """
    found = list(estimates)
    mean = sum(estimate for estimate, _ in found) / len(found)
    below = math.sqrt(shared * sum((estimate - low) ** 2 for estimate, (low, _) in found)) / len(found)
    above = math.sqrt(shared * sum((high - estimate) ** 2 for estimate, (_, high) in found)) / len(found)
    return max(0.0, mean - below), min(1.0, mean + above)
