"""PyTorch's caching allocator for CUDA, simulated: how many bytes of segments an allocation program reserves.

The rules and constants are those of c10/cuda/CUDACachingAllocator.cpp and c10/core/AllocatorConfig.h in
PyTorch 2.14, with their default settings, on one stream. `tests/memory/recordings` holds them against cards.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from nas.memory.program import AllocationProgram, BatchSizes
from nas.memory.reduction import THREADS

MIB = 2**20

ROUNDING = 512
"""The size of a block is a multiple of this."""
SMALL = MIB
"""Requests up to this size share segments of their own."""
SMALL_SEGMENT = 2 * MIB
LARGE = 10 * MIB
"""From this size on, a request that no free block serves has a segment made for it."""
LARGE_SEGMENT = 20 * MIB
"""Shared by the requests between."""
SEGMENT_ROUNDING = 2 * MIB


class OutOfMemory(Exception):
    """A request exceeds the limit, even with every unused segment given back."""


class _Block:
    """A part of a segment, between its neighbours."""

    __slots__ = ("address", "after", "before", "free", "pool", "size")

    def __init__(self, address: int, size: int, pool: _Pool) -> None:
        self.address = address
        self.size = size
        self.pool = pool
        self.free = False
        self.before: _Block | None = None
        self.after: _Block | None = None


_Pool = list[tuple[int, int, _Block]]
"""Free blocks in order of size, then address."""


class CachingAllocator:
    """Serves requests from cached segments, best fit first; all sizes are bytes."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.reserved = 0
        """Bytes of all segments together."""
        self.peak = 0
        """The most that `reserved` has been."""
        self._small: _Pool = []
        self._large: _Pool = []
        self._end = 0

    def allocate(self, size: int) -> _Block:
        """Serve a request of at least one byte.

        Raises:
            OutOfMemory: it does not fit under the limit.
        """
        size = _round_up(size, ROUNDING)
        small = size <= SMALL
        pool = self._small if small else self._large
        place = bisect_left(pool, (size,))
        block = pool.pop(place)[2] if place < len(pool) else self._new_segment(size, pool)
        block.free = False
        remainder = block.size - size
        if remainder >= ROUNDING if small else remainder > SMALL:
            self._split(block, size)
        return block

    def free(self, block: _Block) -> None:
        """Take a block back, and join it with free neighbours."""
        if (before := block.before) and before.free:
            self._remove(before)
            block.address, block.size = before.address, before.size + block.size
            block.before = before.before
            if block.before:
                block.before.after = block
        if (after := block.after) and after.free:
            self._remove(after)
            block.size += after.size
            block.after = after.after
            if block.after:
                block.after.before = block
        block.free = True
        insort(block.pool, (block.size, block.address, block))

    def _new_segment(self, size: int, pool: _Pool) -> _Block:
        if size <= SMALL:
            size = SMALL_SEGMENT
        elif size < LARGE:
            size = LARGE_SEGMENT
        else:
            size = _round_up(size, SEGMENT_ROUNDING)
        if self.limit is not None and self.reserved + size > self.limit:
            self._release_unused()
            if self.reserved + size > self.limit:
                raise OutOfMemory
        self.reserved += size
        self.peak = max(self.peak, self.reserved)
        self._end += size
        return _Block(self._end - size, size, pool)

    def _release_unused(self) -> None:
        """Give back the segments that are one free block."""
        for pool in (self._small, self._large):
            self.reserved -= sum(size for size, _, block in pool if not (block.before or block.after))
            pool[:] = [entry for entry in pool if entry[2].before or entry[2].after]

    def _split(self, block: _Block, size: int) -> None:
        rest = _Block(block.address + size, block.size - size, block.pool)
        rest.free = True
        rest.before, rest.after = block, block.after
        if rest.after:
            rest.after.before = rest
        block.size, block.after = size, rest
        insort(rest.pool, (rest.size, rest.address, rest))

    def _remove(self, block: _Block) -> None:
        del block.pool[bisect_left(block.pool, (block.size, block.address))]


def reserved(
    program: AllocationProgram,
    batches: BatchSizes,
    *,
    resident: Iterable[int] = (),
    limit: int | None = None,
    threads: int = THREADS,
) -> int:
    """The most bytes of segments that training holds, beside `resident` blocks of so many bytes, on a
    card that runs `threads` at once.

    Under a `limit`, unused segments are given back when it is reached.

    Raises:
        OutOfMemory: training does not survive under the limit.
    """
    sizes: list[int] = program.sizes(batches, threads).tolist()
    allocator = CachingAllocator(limit)
    for size in filter(None, resident):
        allocator.allocate(size)
    held: dict[int, _Block] = {}
    for event in program.replay():
        if event < 0:
            if sizes[~event]:
                allocator.free(held[~event])
        elif sizes[event]:  # an empty tensor has no block
            held[event] = allocator.allocate(sizes[event])
    return allocator.peak


def smallest_limit(
    program: AllocationProgram,
    batches: BatchSizes,
    *,
    resident: tuple[int, ...] = (),
    threads: int = THREADS,
) -> int:
    """The smallest limit in bytes under which training survives, to within one rounding of a segment."""
    enough = reserved(program, batches, resident=resident, threads=threads)
    too_small = program.peak(batches, threads).allocated + sum(resident) - 1
    while enough - too_small > SEGMENT_ROUNDING:
        limit = (enough + too_small) // 2
        try:
            enough = reserved(program, batches, resident=resident, limit=limit, threads=threads)
        except OutOfMemory:
            too_small = limit
    return enough


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step
