"""From an allocation program to the bytes that a process will take on its device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from nas.memory.allocator import OutOfMemory, reserved, smallest_limit
from nas.memory.program import AllocationProgram, BatchSizes, Memory
from nas.memory.reduction import THREADS

Device = Literal["cpu", "cuda"]

WORKSPACE = 8_519_680
"""Bytes that cuBLAS takes for a thread, on cards before Hopper. From there on it is 32 MiB."""


@dataclass(frozen=True, kw_only=True)
class MemoryConstants:
    """What all trials of a worker share; measured, in bytes unless said otherwise."""

    context: int = 0
    """Bytes that the process takes outside the caching allocator; on a CPU, beside the tensors of a step."""
    workspace: tuple[int, ...] = ()
    """What CUDA's libraries keep inside the caching allocator, block by block: cuBLAS takes one for each
    thread that multiplies, that of the forward and that of the backward."""
    data: tuple[int, ...] = ()
    """The dataset, where it lies on the device, block by block."""
    threads: int = THREADS
    """That the card runs at once."""
    evaluation_batch: int = 0
    """The most images that are evaluated at once; never more than a micro-batch."""
    factor: float = 1.0
    """What a step of training is multiplied by, which alone is not measured: see `nas.memory.calibration`."""

    def __post_init__(self) -> None:
        for name in ("workspace", "data"):  # as they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def typical(cls, device: Device) -> MemoryConstants:
        """Where none were measured: workspaces of a card before Hopper, and no context."""
        return cls(workspace=(WORKSPACE, WORKSPACE) if device == "cuda" else ())

    def at_least(self, other: MemoryConstants) -> MemoryConstants:
        """The larger of each."""

        def size(value: float | tuple[int, ...]) -> float:
            return sum(value) if isinstance(value, tuple) else value

        both = ((name, value, getattr(other, name)) for name, value in vars(self).items())
        return MemoryConstants(**{name: max(mine, others, key=size) for name, mine, others in both})

    @property
    def resident(self) -> tuple[int, ...]:
        """What lies in the caching allocator before a step and after it, in the order in which it came
        there: measured, never multiplied."""
        return *self.data, *self.workspace

    def beside(self, peak: Memory) -> Memory:
        """A peak of training, with what is there besides."""
        workspace = peak.workspace + sum(self.workspace)
        return replace(peak, workspace=workspace, data=sum(self.data), context=self.context)

    def calibrated(self, reserved: int) -> int:
        """Bytes that a process is expected to take whose segments are predicted to take `reserved`."""
        known = sum(self.resident)
        return self.context + known + math.ceil(self.factor * (reserved - known))

    def limit(self, cap: int) -> int:
        """The most bytes of segments that keep a process under `cap`, as far as `calibrated` tells."""
        known = sum(self.resident)
        limit = known + math.floor((cap - self.context - known) / self.factor)
        return limit + 1 if self.calibrated(limit + 1) <= cap else limit  # a division may round down


def predict(
    program: AllocationProgram,
    batches: BatchSizes,
    device: Device,
    constants: MemoryConstants,
    cap: int | None = None,
) -> Memory:
    """The peak of a process that trains, before calibration.

    On CUDA it counts the segments of the caching allocator, which gives unused ones back when it reaches the
    `cap`; on the CPU it counts the tensors alone.

    Raises:
        OutOfMemory: calibrated, it exceeds `cap` bytes.
    """
    memory = constants.beside(program.peak(batches, constants.threads))
    if cap is not None and constants.calibrated(memory.reserved) > cap:
        raise OutOfMemory
    if device == "cpu":
        return memory
    limit = None if cap is None else constants.limit(cap)
    segments = reserved(program, batches, resident=constants.resident, limit=limit, threads=constants.threads)
    return replace(memory, fragmentation=segments - memory.reserved)


def smallest_cap(
    program: AllocationProgram, batches: BatchSizes, device: Device, constants: MemoryConstants
) -> int:
    """The smallest cap in bytes under which training survives, calibrated; on CUDA to within 2 MiB."""
    if device == "cpu":
        return constants.calibrated(predict(program, batches, device, constants).reserved)
    limit = smallest_limit(program, batches, resident=constants.resident, threads=constants.threads)
    return constants.calibrated(limit)
