from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.memory.allocator import (
    MIB,
    SEGMENT_ROUNDING,
    CachingAllocator,
    OutOfMemory,
    reserved,
    smallest_limit,
)
from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from tests.memory.networks import SHAPE, normalised, settings

KIB = 1024


@pytest.mark.parametrize(
    ("requests", "segments"),
    [
        ([1], 2 * MIB),
        ([MIB], 2 * MIB),
        ([MIB + 1], 20 * MIB),
        ([10 * MIB - 512], 20 * MIB),
        ([10 * MIB], 10 * MIB),
        ([11 * MIB], 12 * MIB),
        ([MIB, MIB], 2 * MIB),
        ([MIB, MIB, 1], 4 * MIB),
        ([1] * 4096, 2 * MIB),
        ([1] * 4097, 4 * MIB),
        ([513] * 2048, 2 * MIB),
        ([MIB, 5 * MIB], 22 * MIB),
        ([5 * MIB] * 4, 20 * MIB),
        ([5 * MIB] * 5, 40 * MIB),
        ([9 * MIB, 10 * MIB, 2 * MIB], 40 * MIB),
        ([9 * MIB, 9 * MIB, 2 * MIB], 20 * MIB),
        ([9 * MIB, 5 * MIB, 5 * MIB, 2 * MIB], 40 * MIB),
    ],
)
def test_requests_share_segments(requests: list[int], segments: int) -> None:
    allocator = CachingAllocator()
    for size in requests:
        allocator.allocate(size)
    assert allocator.reserved == allocator.peak == segments


def test_a_freed_block_serves_again() -> None:
    allocator = CachingAllocator()
    for _ in range(10):
        allocator.free(allocator.allocate(30 * MIB))
    assert allocator.reserved == 30 * MIB


def test_the_smallest_free_block_that_suffices_is_taken() -> None:
    allocator = CachingAllocator()
    large, small = allocator.allocate(40 * MIB), allocator.allocate(12 * MIB)
    allocator.free(large)
    allocator.free(small)
    allocator.allocate(12 * MIB)  # from the small one: the large one stays whole
    allocator.allocate(40 * MIB)
    assert allocator.reserved == 52 * MIB


def test_small_requests_never_use_large_segments() -> None:
    allocator = CachingAllocator()
    allocator.free(allocator.allocate(40 * MIB))
    allocator.allocate(MIB)
    assert allocator.reserved == 42 * MIB


@pytest.mark.parametrize(("remainder", "segments"), [(MIB, 40 * MIB), (MIB + 512, 20 * MIB)])
def test_a_remainder_above_1_mib_is_split_off_a_large_block(remainder: int, segments: int) -> None:
    allocator = CachingAllocator()
    _, hole, last = (allocator.allocate(size) for size in (6 * MIB, 9 * MIB, 5 * MIB))
    allocator.free(hole)
    allocator.allocate(9 * MIB - remainder)
    allocator.free(last)
    allocator.allocate(5 * MIB + remainder)  # from the last block, joined by a remainder that was split off
    assert allocator.reserved == segments


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_free_neighbours_join(order: tuple[int, ...]) -> None:
    allocator = CachingAllocator()
    whole = allocator.allocate(30 * MIB)
    allocator.free(whole)
    blocks = [allocator.allocate(10 * MIB) for _ in range(3)]
    for block in order:
        allocator.free(blocks[block])
    allocator.allocate(30 * MIB)
    assert allocator.reserved == 30 * MIB


def test_under_a_limit_unused_segments_are_given_back() -> None:
    allocator = CachingAllocator(limit=50 * MIB)
    allocator.free(allocator.allocate(40 * MIB))
    allocator.allocate(50 * MIB)
    assert allocator.reserved == allocator.peak == 50 * MIB


def test_a_segment_in_use_is_not_given_back() -> None:
    allocator = CachingAllocator(limit=50 * MIB)
    allocator.free(allocator.allocate(40 * MIB))
    allocator.allocate(12 * MIB)  # splits it
    with pytest.raises(OutOfMemory):
        allocator.allocate(40 * MIB)


@given(st.lists(st.tuples(st.integers(1, 30 * MIB), st.integers(0, 20)), min_size=1, max_size=60))
def test_what_is_reserved_suffices_and_comes_back_whole(history: list[tuple[int, int]]) -> None:
    allocator = CachingAllocator()
    live = []
    for size, number in history:
        live.append((allocator.allocate(size), size))
        if number < len(live):
            allocator.free(live.pop(number)[0])
        assert allocator.peak >= allocator.reserved >= sum(size for _, size in live)
    for block, _ in live:
        allocator.free(block)
    allocator.limit = allocator.reserved + 20 * MIB
    allocator.allocate(allocator.limit)  # needs every segment to be one free block
    assert allocator.reserved == allocator.limit


@pytest.mark.parametrize("batch_size", [16, 500, 4000])
def test_training_survives_under_the_smallest_limit_and_not_below(batch_size: int) -> None:
    program = trace_training(normalised(), SHAPE, settings(batch_size))
    batches = BatchSizes(batch_size)
    limit = smallest_limit(program, batches, resident=(3 * MIB,))
    peak = program.peak(batches).allocated + 3 * MIB
    assert peak <= limit <= reserved(program, batches, resident=(3 * MIB,))
    assert reserved(program, batches, resident=(3 * MIB,), limit=limit) <= limit
    with pytest.raises(OutOfMemory):
        reserved(program, batches, resident=(3 * MIB,), limit=limit - 2 * SEGMENT_ROUNDING)


@pytest.mark.parametrize("batch_size", [16, 500, 4000])
def test_more_steps_than_are_replayed_reserve_no_more(batch_size: int) -> None:
    program = trace_training(normalised(), SHAPE, settings(1))
    batches = BatchSizes(batch_size, evaluation=batch_size)
    sizes, allocator = program.sizes(batches).tolist(), CachingAllocator()
    held: dict[int, Any] = {}
    for event in program.replay(steps=20):
        if event < 0:
            allocator.free(held[~event])
        else:
            held[event] = allocator.allocate(sizes[event])
    assert allocator.peak == reserved(program, batches)
