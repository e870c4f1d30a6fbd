"""From an allocation program to the bytes that a process will take on its device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nas.memory.allocator import OutOfMemory, reserved, smallest_limit
from nas.memory.program import AllocationProgram, BatchSizes, Memory

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class MemoryConstants:
    """What all trials of a worker share; measured once, in bytes unless said otherwise."""

    context: int = 0
    """What the process takes outside the caching allocator."""
    workspace: int = 0
    """What CUDA's libraries keep inside the caching allocator."""
    data: int = 0
    """The dataset, where it lies on the device."""
    evaluation_batch: int = 0
    """The most images that are evaluated at once; never more than a micro-batch."""


def predict(
    program: AllocationProgram,
    batches: BatchSizes,
    device: Device,
    constants: MemoryConstants,
    cap: int | None = None,
) -> Memory:
    """The peak of a process that trains.

    On CUDA it counts the segments of the caching allocator, which gives unused ones back when it reaches the
    `cap`; on the CPU it counts the tensors alone.

    Raises:
        OutOfMemory: it exceeds `cap` bytes.
    """
    memory = replace(
        program.peak(batches), workspace=constants.workspace, data=constants.data, context=constants.context
    )
    if cap is not None and memory.total > cap:
        raise OutOfMemory
    if device == "cpu":
        return memory
    limit = None if cap is None else cap - constants.context
    segments = reserved(program, batches, resident=_resident(constants), limit=limit)
    return replace(memory, fragmentation=segments - memory.reserved)


def smallest_cap(
    program: AllocationProgram, batches: BatchSizes, device: Device, constants: MemoryConstants
) -> int:
    """The smallest cap in bytes under which training survives; on CUDA to within 2 MiB."""
    if device == "cpu":
        return predict(program, batches, device, constants).total
    return constants.context + smallest_limit(program, batches, resident=_resident(constants))


def _resident(constants: MemoryConstants) -> tuple[int, int]:
    return constants.data, constants.workspace
