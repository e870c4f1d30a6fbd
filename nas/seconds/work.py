"""What training does, in amounts that take time. No torch here: the driver reads it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPERATIONS = ("convolution", "pointwise", "stem", "depthwise", "matrix")
"""Multiply-adds of: convolutions; those of 1x1; those of the few channels of an image; those of each channel
alone, or of groups; products of matrices."""

KINDS = (*OPERATIONS, *(f"{name} bf16" for name in OPERATIONS), "bytes", "calls")
"""What is told apart: multiply-adds by operation and precision, bytes that everything else reads and writes,
and operations begun."""

Work = Mapping[str, float]
"""Amounts by kind; kinds that are missing are none."""


def total(*parts: tuple[float, Work]) -> dict[str, float]:
    """The sum of works, each so many times."""
    amounts: dict[str, float] = {}
    for times, work in parts:
        for kind, amount in work.items():
            amounts[kind] = amounts.get(kind, 0.0) + times * amount
    return amounts


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """The work of a training step, and of an evaluation."""

    micro_batch: Work
    """Of one forward and backward."""
    step: Work
    """Of the rest of a step, once for all its micro-batches: the optimizer, and averaged weights."""
    evaluation: Work
    """Of one forward without gradients."""

    def epoch(self, *, steps: int, accumulation: int, evaluations: int) -> dict[str, float]:
        """The work of an epoch with so many steps of so many micro-batches, and batches of validation."""
        return total(
            (steps * accumulation, self.micro_batch), (steps, self.step), (evaluations, self.evaluation)
        )

    def between(self, other: StepWork, part: float) -> StepWork:
        """Work is affine in the number of images: this one at 0, the other at 1, the result at `part`."""
        pairs = (
            (self.micro_batch, other.micro_batch),
            (self.step, other.step),
            (self.evaluation, other.evaluation),
        )
        mixed = [total((1 - part, few), (part, many)) for few, many in pairs]
        return StepWork(micro_batch=mixed[0], step=mixed[1], evaluation=mixed[2])
