"""What each kind of work takes on a device: known before anything is trained, learned from what was."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from nas.seconds.work import KINDS, Work

PROCESSOR = {
    "convolution": 3.1e-11,
    "pointwise": 1.7e-11,
    "stem": 2.7e-11,
    "depthwise": 1.1e-11,
    "matrix": 3.0e-11,
    "bytes": 5.3e-11,
    "calls": 1.2e-5,
}
"""Seconds of one thread for one multiply-add, byte or call: 73 random proposals of `cnn_fc` and `residual` on
digits and CIFAR-10, fp32, one thread of an AMD EPYC at 2.6 GHz without bf16 instructions, fitted within 11 %
in the median."""

CARD = {
    "convolution": 1e-13,
    "pointwise": 2e-13,
    "stem": 5e-13,
    "depthwise": 1e-12,
    "matrix": 1e-13,
    "bytes": 1e-12,
    "calls": 8e-6,
}
"""The same of a graphics card, guessed from data sheets until one is measured: small networks are calls."""

LOW_PRECISION = 0.65
"""What bf16 takes of fp32's time where the device has it in hardware."""

PACE = {"convolution": 4.53e8, "stem": 5.66e7, "matrix": 3.93e6, "bytes": 9.41e7, "calls": 43}
"""The work of the step that tells the pace of a worker: see `nas.seconds.pace`."""

TRUST = 0.3
"""How strongly rates hold to what was known before: as if so many trials had shown it for every kind.
Chosen on the measurements above with rates wrong by 40 %: after five trials, predictions of the others are
off by 15 % in the median."""

WINDOW = 200
"""Trials that count: the last ones."""


@dataclass(frozen=True)
class Sample:
    """An epoch that was trained, validation included."""

    work: Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Seconds of computing: see `nas.training.epoch.Epoch.busy_seconds`."""
    pace: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Of the worker that trained it."""


def reference(device: str) -> dict[str, float]:
    """Seconds for each unit of work by kind, on a device of pace 1: cpu, or whatever a card is called."""
    rates = PROCESSOR if device == "cpu" else CARD
    return {kind: rates.get(kind) or LOW_PRECISION * rates[kind.removesuffix(" bf16")] for kind in KINDS}


def seconds_of(work: Work, rates: Mapping[str, float]) -> float:
    """What a work takes."""
    return sum(amount * rates[kind] for kind, amount in work.items())


class Rates:
    """Seconds for each unit of work by kind, on one kind of device."""

    def __init__(self, device: str, samples: Iterable[Sample] = ()) -> None:
        """Args:
        device: cpu, or what a card calls itself.
        samples: what was trained on such a device before, oldest first.
        """
        self._reference = reference(device)
        self._samples = deque(samples, maxlen=WINDOW)
        self._fitted: dict[str, float] | None = None

    def __len__(self) -> int:
        """Trials that it has learned from."""
        return len(self._samples)

    def predict(self, work: Work, pace: float) -> float:
        """Seconds that a work takes in a worker of this pace."""
        if self._fitted is None:
            self._fitted = self._fit()
        return pace * seconds_of(work, self._fitted)

    def add(self, sample: Sample) -> None:
        """Learn from an epoch that was trained."""
        self._samples.append(sample)
        self._fitted = None

    def correct(self, earlier: Sample, sample: Sample) -> None:
        """Take a sample instead of an earlier one of the same trial."""
        if earlier in self._samples:
            self._samples.remove(earlier)
        self.add(sample)

    @property
    def samples(self) -> list[Sample]:
        """What it has learned from, oldest first."""
        return list(self._samples)

    def _fit(self) -> dict[str, float]:
        """Rates that are not negative and explain what was measured, each trial by its relative error.

        Ridge regression towards the reference, scaled as a whole: kinds of work that no trial has done much
        of keep their place among the others.
        """
        if not self._samples:
            return self._reference
        from scipy.optimize import nnls  # 40 MiB, which workers need not hold

        known = np.array([self._reference[kind] for kind in KINDS])
        amounts = np.array([[each.work.get(kind, 0.0) for kind in KINDS] for each in self._samples])
        measured = np.array([each.seconds / each.pace for each in self._samples])
        shares = amounts * known / measured[:, None]
        # the reference counts as one trial
        scale = math.exp(-np.log(shares.sum(1)).sum() / (len(measured) + 1))
        prior = math.sqrt(TRUST) * np.ones(len(KINDS))
        factors, _ = nnls(
            np.vstack([shares, np.diag(prior / scale)]), np.concatenate([np.ones(len(measured)), prior])
        )
        return dict(zip(KINDS, (factors * known).tolist(), strict=True))
