"""How measured memory compares with predictions on a device, and what to multiply the next prediction by.

Both are of a step of training alone: what a device holds before it was measured, and is not multiplied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

QUANTILE = 0.95
"""One trial in twenty may need more than predicted: it recovers, at the price of its time."""
WINDOW = 200
"""Trials that count: the last ones."""

START = {"cpu": 1.0}
START_ELSEWHERE = 1.15
"""Before anything was measured: a CPU's tensors are predicted exactly; a card's libraries need more."""

VERSION = 2
"""Of what is stored. Ratios before it were diluted by what a card holds for good: data and workspace."""

GROWTH = 1.5
"""What ran out of memory is taken to need so many times what it was given: nobody knows how much it was."""
MOST = 4.0
"""No more is concluded from that: by then something else has taken the memory."""


class Calibration:
    """The running quantile of measured over predicted bytes, of one kind of device."""

    def __init__(self, start: float, ratios: Iterable[float] = ()) -> None:
        """Args:
        start: counts like a ratio that was measured first.
        ratios: measured over predicted bytes, oldest first.
        """
        self._start = start
        self._ratios = deque(ratios, maxlen=WINDOW)

    @classmethod
    def for_device(cls, name: str) -> Self:
        """Of a device that nothing is known of, by its own name: cpu, or what a card calls itself."""
        return cls(START.get(name, START_ELSEWHERE))

    @property
    def factor(self) -> float:
        """What to multiply predictions by. Up to twenty measurements it is the largest of all."""
        start = [self._start] if len(self._ratios) < WINDOW else []
        return float(np.quantile([*start, *self._ratios], QUANTILE, method="higher"))

    def add(self, predicted: int, measured: int) -> None:
        """Learn from a trial that ran to the end of an epoch. `predicted`: bytes before calibration."""
        if predicted > 0:
            self._ratios.append(measured / predicted)

    def out_of_memory(self) -> None:
        """Learn from a trial that had its prediction times `factor`, and needed more.

        It weighs as much as the quantile takes to reach it, so that the very next prediction is larger.
        """
        ratio = min(MOST, GROWTH * self.factor)
        while self.factor < ratio:
            self._ratios.append(ratio)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `from_json`."""
        ratios = [round(ratio, 4) for ratio in self._ratios]
        return {"version": VERSION, "start": self._start, "ratios": ratios}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `to_json` gave; of an older one what still holds, which is all of a processor's."""
        start = content["start"]
        holds = content.get("version") == VERSION or start == START["cpu"]
        return cls(start, content["ratios"] if holds else ())
