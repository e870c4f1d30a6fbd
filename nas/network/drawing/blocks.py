"""What a drawing shows of a network: blocks of layers, and groups of blocks that repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.machine.texts import dimensions
from nas.network.layers import Layer

Shape = tuple[int, ...]

MANY = 24
"""Of a network with more blocks than these, a run of equal groups of blocks is drawn once."""

GROUP = 40
"""Blocks of the longest group that is looked for."""


@dataclass(frozen=True)
class Block:
    """A layer and those that only follow it."""

    name: str
    shape: Shape
    kinds: tuple[str, ...]
    parameters: int

    @property
    def words(self) -> str:
        return f"{self.kinds[0]} {dimensions(self.shape)}".strip()


def blocks_of(layers: Sequence[Layer]) -> list[Block]:
    """The layers, each joined by those that follow it without changing its size."""
    blocks: list[Block] = []
    for layer in layers:
        last = blocks[-1] if blocks else None
        same = last is not None and math.prod(layer.output_shape) == math.prod(last.shape)
        if last is None or layer.multiply_adds or not (same or not layer.output_shape):
            blocks.append(Block(layer.name, layer.output_shape, (layer.kind,), layer.parameters))
        elif layer.kind != "Identity":
            kinds, parameters = (*last.kinds, layer.kind), last.parameters + layer.parameters
            blocks[-1] = replace(last, kinds=kinds, parameters=parameters)
    return blocks


@dataclass(frozen=True)
class Slot:
    """A block, how often the group it belongs to is repeated, and where in the group it stands."""

    block: Block
    times: int = 1
    opens: bool = False
    closes: bool = False


def slots_of(blocks: Sequence[Block]) -> list[Slot]:
    """One slot for each block; of many blocks, a run of equal groups takes those of one group."""
    if len(blocks) <= MANY:
        return [Slot(block) for block in blocks]
    slots: list[Slot] = []
    start = 0
    while start < len(blocks):
        length, times = _longest_run([(b.kinds, b.shape, b.parameters) for b in blocks[start:]])
        group = blocks[start : start + length]
        slots += [Slot(block, times, opens=block is group[0], closes=block is group[-1]) for block in group]
        start += length * times
    return slots


def _longest_run(items: Sequence[object]) -> tuple[int, int]:
    """(length of the group, times) of the longest run of equal groups that the items begin with."""
    best = (1, 1)
    for length in range(1, min(GROUP, len(items) // 2) + 1):
        group, times = items[:length], 1
        while items[times * length : (times + 1) * length] == group:
            times += 1
        if times > 1 and length * times > math.prod(best):
            best = (length, times)
    return best
