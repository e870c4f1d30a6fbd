"""The scratch memory of a sum or mean on CUDA, which is not affine in the batch.

Many blocks of threads work at one sum where there are too few sums to keep a card busy, and leave their parts
in memory: ATen/native/cuda/Reduce.cuh in PyTorch 2.14.
"""

from __future__ import annotations

from typing import NamedTuple

THREADS = 108 * 2048
"""That an A100 runs at once. How wide a reduction is spread depends on them."""
WARP = 32
MOST_THREADS = 512
"""Of one block of a reduction's threads."""
ACCUMULATOR = 4
"""Bytes of a number while it is added up."""


class Reduction(NamedTuple):
    """A sum or mean, as far as its scratch depends on it. Only the two numbers depend on the batch size."""

    inputs: int
    """Numbers that are added up to one."""
    outputs: int
    along: bool
    """Whether neighbours in memory are added up, rather than neighbours of different sums."""
    lanes: int
    """Outputs that one thread makes."""
    vectors: bool = False
    """Whether a thread reads four numbers at once."""

    def scratch(self, threads: int) -> int:
        """Bytes where the blocks of threads that share an output leave their parts.

        Args:
            threads: that the card runs at once.
        """
        if self.inputs <= 1 or not self.outputs:
            return 0
        wide, high = (self.inputs, self.outputs) if self.along else (self.outputs, self.inputs)
        wide //= 4 if self.vectors else self.lanes
        most = MOST_THREADS // self.lanes
        first, second = min(most, _power(wide)), min(most, _power(high))
        width = min(first, WARP)
        height = min(second, most // width)
        width = min(first, most // height)
        values = -(-self.inputs // width) if self.along else self.inputs  # of one thread
        shared = values >= 16 * height or values >= 256  # a column of threads adds up one output
        if shared:
            values = -(-values // height)
        at_once = (1 if self.along else width) * (1 if shared else height)
        grid = -(-(self.outputs // self.lanes) // at_once)
        enough = threads // (width * height)
        if not shared or values < 256 or grid > enough:
            return 0
        parts = max(min(-(-enough // grid), -(-values // 16)), -(-values // 256))
        if parts <= 1:
            return 0
        return ACCUMULATOR * self.outputs * parts * (1 if self.along else width * self.lanes)

    def between(self, other: Reduction, part: float) -> Reduction:
        """So far on the way to another batch size, where `other` is what it is there."""
        inputs, outputs = (round(a + part * (b - a)) for a, b in zip(self[:2], other[:2], strict=True))
        return self._replace(inputs=inputs, outputs=outputs)


def _power(number: int) -> int:
    """The largest power of two up to it."""
    return 1 << (max(1, number).bit_length() - 1)
