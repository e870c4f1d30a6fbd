"""An exported network, loaded by the program that is made to run such files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.exporters.pixels import normalise


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Those of the classes (batch, classes): each row adds up to 1."""
    shifted = logits.astype(np.float64)
    powers = np.exp(shifted - shifted.max(1, keepdims=True))
    normalised: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return normalised


@dataclass(frozen=True)
class Runtime:
    """Arrays in, logits out."""

    run: Callable[[NDArray[Any]], NDArray[np.float32]]
    """Logits (batch, classes) of a batch as `prepare` makes it."""
    uint8: bool
    """Whether it takes raw images, because the preprocessing is in the file."""

    def prepare(self, images: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> NDArray[Any]:
        """What `run` takes, from uint8 or uint16 images (batch, height, width, channels)."""
        return np.array(images) if self.uint8 else normalise(images, mean, std)
