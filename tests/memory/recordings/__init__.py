"""Recordings of torch's caching allocator on real cards, replayed through ours.

Sixteen that others have published, of `torch.cuda.memory._dump_snapshot`: language models and a convolutional
network in training, cellular automata, products of matrices; torch 2.0 to about 2.10, up to 26 GB. Each file
holds its source (a repository on GitHub), what happened in order as (action, address, bytes), and the
segments at the end with their blocks as (bytes, bytes asked for, state). Nothing else is left of them.
"""

from __future__ import annotations

import json
import lzma
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from nas.memory.allocator import MIB, ROUNDING, SMALL_SEGMENT, CachingAllocator, _Block, _Pool

FOLDER = Path(__file__).parent
NAMES = sorted(file.name.split(".")[0] for file in FOLDER.glob("*.xz"))


class Recording:
    """What one file holds, and what follows from it."""

    def __init__(self, name: str) -> None:
        content = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
        self.events: list[tuple[str, int, int]] = [tuple(event) for event in content["events"]]
        self.segments = {each["address"]: each["total_size"] for each in content["segments_after"]}
        """At the end, by address."""
        self.small = {
            each["address"] for each in content["segments_after"] if each["segment_type"] == "small"
        }
        self.free: set[tuple[int, int]] = set()
        """(bytes, address) of blocks at the end."""
        self.held: dict[int, int] = {}
        """Bytes of the others, by address."""
        for each in content["segments_after"]:
            address = each["address"]
            for size, _, state in each["blocks"]:
                if state == "inactive":
                    self.free.add((size, address))
                else:
                    self.held[address] = size
                address += size

    def start(self) -> tuple[dict[int, int], set[int], dict[int, int]]:
        """Before the first event: segments, those of small blocks, and bytes of the blocks in use."""
        segments, small, held = dict(self.segments), set(self.small), dict(self.held)
        unsure: set[int] = set()
        for action, address, size in reversed(self.events):
            match action:
                case "alloc":
                    held.pop(address, None)
                    unsure.discard(address)
                case "free_completed":
                    held[address] = rounded(size)
                    unsure.add(address)
                case "segment_alloc":
                    segments.pop(address, None)
                case "segment_free":
                    segments[address] = size
                    if size == SMALL_SEGMENT:
                        small.add(address)
        self._add_rests(segments, small, held, unsure)
        return segments, small, held

    def _add_rests(
        self, segments: dict[int, int], small: set[int], held: dict[int, int], unsure: set[int]
    ) -> None:
        """A large block includes a rest of up to 1 MiB that was not split off, as a neighbour tells: one that
        is there, or one that comes before the block goes."""
        starts, ends = sorted(segments), {start + size for start, size in segments.items()}
        neighbours = sorted({*held, *ends})
        for address in unsure:
            if starts[bisect_right(starts, address) - 1] in small:
                continue
            end = address + held[address]
            after = neighbours[bisect_right(neighbours, address)]
            if 0 < after - end <= MIB:
                held[address] = after - address
        alive = set(unsure)
        for action, address, _ in self.events:
            if action == "free_completed":
                alive.discard(address)
            elif action == "alloc" and (
                before := max((each for each in alive if each < address), default=None)
            ):
                segment = starts[bisect_right(starts, address) - 1]
                gap = address - before - held[before]
                if segment not in small and segment <= before and 0 < gap <= MIB:
                    held[before] += gap


class Replay(CachingAllocator):
    """Our allocator, whose segments lie where the recording has them."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.announced: deque[tuple[int, int]] = deque()
        self.wrong_segments: list[tuple[int, int]] = []
        self.segments, small, held = recording.start()
        self.held: dict[int, _Block] = {}
        for address, size in self.segments.items():
            self._adopt(address, size, self._small if address in small else self._large, held)
        self.reserved = sum(self.segments.values())

    def _adopt(self, start: int, size: int, pool: _Pool, held: dict[int, int]) -> None:
        """A segment that is there before the recording begins, with its blocks."""
        end, at, before = start + size, start, None
        inside = sorted(address for address in held if start <= address < end)
        for address in (*inside, end):
            parts = [(at, address - at, True)] if address > at else []
            parts += [(address, held[address], False)] if address < end else []
            for place, length, free in parts:
                block = _Block(place, length, pool)
                block.free, block.before = free, before
                if before:
                    before.after = block
                before = block
                if free:
                    insort(pool, (length, place, block))
                else:
                    self.held[place] = block
                at = place + length

    def _new_segment(self, size: int, pool: _Pool) -> _Block:
        block = super()._new_segment(size, pool)
        address, real = self.announced.popleft() if self.announced else (-self._end, 0)
        if real != block.size:
            self.wrong_segments.append((real, block.size))
        block.address = address
        self.segments[address] = block.size
        return block

    def give_back(self, address: int) -> None:
        """What `empty_cache` does to one segment."""
        for pool in (self._small, self._large):
            for place, (size, start, block) in enumerate(pool):
                if start == address and not (block.before or block.after):
                    del pool[place]
                    self.reserved -= size
                    del self.segments[address]

    @property
    def free_blocks(self) -> set[tuple[int, int]]:
        return {(size, address) for pool in (self._small, self._large) for size, address, _ in pool}

    def run(self, events: Iterable[tuple[str, int, int]]) -> list[tuple[int, int, int]]:
        """Returns the allocations that lie elsewhere: bytes, address in the recording, address here."""
        elsewhere = []
        for action, address, size in events:
            match action:
                case "segment_alloc":
                    self.announced.append((address, size))
                case "segment_free":
                    self.give_back(address)
                case "alloc":
                    block = self.held[address] = self.allocate(max(1, size))
                    if block.address != address:
                        elsewhere.append((size, address, block.address))
                case "free_completed":
                    self.free(self.held.pop(address))
        return elsewhere


def rounded(size: int) -> int:
    return -(-max(1, size) // ROUNDING) * ROUNDING
