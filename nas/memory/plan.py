"""How to train a network under a memory cap: in whole batches, with accumulation, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.memory.allocator import MIB, OutOfMemory
from nas.memory.prediction import Device, MemoryConstants, predict, smallest_cap
from nas.memory.program import AllocationProgram, BatchSizes, Memory
from nas.memory.trace import Precision, trace_training
from nas.space import Training

MIN_BATCH_NORM_BATCH = 16
"""Images whose statistics batch norm can still trust."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """How a trial trains. Its batch size is `micro_batch * accumulation`."""

    micro_batch: int
    """Images of one forward and backward."""
    accumulation: int
    """Micro-batches whose gradients add up to one step: a power of two."""
    checkpointing: bool
    """Whether the network is trained as `nas.memory.checkpointing.checkpointed` wraps it."""
    memory: Memory
    """The predicted peak."""

    @property
    def predicted(self) -> int:
        """Bytes that the trial's process takes, context included."""
        return self.memory.total


@dataclass(frozen=True, kw_only=True)
class DoesNotFit:
    """No plan keeps a network under the memory cap. `str` says why, in one line."""

    cap: int
    """Bytes allowed."""
    smallest_cap: int
    """Bytes that would do."""
    memory: Memory
    """The predicted peak under the smallest cap."""
    smallest_cap_bf16: int | None
    """Bytes that would do in bf16, trained the same way; None where bf16 is in use already."""

    @property
    def excess(self) -> int:
        """Bytes that are missing."""
        return self.smallest_cap - self.cap

    @property
    def largest_part(self) -> str:
        """The field of `Memory` that needs most."""
        parts = self.memory.parts
        return max(parts, key=lambda name: parts[name])

    def __str__(self) -> str:
        part, size = self.largest_part, self.memory.parts[self.largest_part]
        reasons = [
            f"needs {_mib(self.smallest_cap)}, the memory cap is {self.cap // MIB:,} MiB",
            f"the largest part is {part.replace('_', ' ')} with {_mib(size)}",
        ]
        if self.smallest_cap_bf16 is not None:
            reasons.append(f"in bf16 it needs {_mib(self.smallest_cap_bf16)}")
        return "; ".join(reasons)


def plan_memory(
    network: nn.Module | Callable[[], nn.Module],
    shape: tuple[int, int, int],
    training: Training,
    *,
    cap: int,
    precision: Precision,
    device: Device,
    constants: MemoryConstants,
) -> MemoryPlan | DoesNotFit:
    """Choose how to train `network`, or what builds it, on images of `shape` (channels, height, width).

    Takes the first way that stays under `cap` bytes, context included: whole batches; halves, quarters … of a
    batch, not under 16 images with batch norm, and accumulation; the same with checkpoints.

    Raises:
        Untraceable: the memory of the network cannot be predicted.
    """
    module = network if isinstance(network, nn.Module) else _build(network)
    planner = _Planner(module, shape, training, precision, device, constants)
    ways = list(planner.ways())
    for way in ways:
        with suppress(OutOfMemory):
            return MemoryPlan(
                micro_batch=way.batches.micro_batch,
                accumulation=way.batches.accumulation,
                checkpointing=way.checkpointing,
                memory=planner.predict(way, cap),
            )
    frugal = min(ways, key=planner.smallest_cap)
    enough = planner.smallest_cap(frugal)
    bf16 = None if precision == "bf16" else replace(planner, precision="bf16").smallest_cap(frugal)
    return DoesNotFit(
        cap=cap, smallest_cap=enough, memory=planner.predict(frugal, enough), smallest_cap_bf16=bf16
    )


class _Way(NamedTuple):
    """One way of training."""

    batches: BatchSizes
    checkpointing: bool


@dataclass(frozen=True)
class _Planner:
    """Predicts a network's memory for each way of training it. Programs are traced when first needed."""

    module: nn.Module
    shape: tuple[int, int, int]
    training: Training
    precision: Precision
    device: Device
    constants: MemoryConstants
    _programs: dict[tuple[bool, bool], AllocationProgram] = field(default_factory=dict, init=False)

    def ways(self) -> Iterator[_Way]:
        """From the fastest to the most frugal."""
        normalised = any(isinstance(module, _BatchNorm) for module in self.module.modules())
        least = MIN_BATCH_NORM_BATCH if normalised else 1
        for checkpointing in (False, True):
            micro_batch, accumulation = self.training.batch_size, 1
            yield self._way(micro_batch, accumulation, checkpointing)
            while micro_batch % 2 == 0 and micro_batch // 2 >= least:
                micro_batch, accumulation = micro_batch // 2, accumulation * 2
                yield self._way(micro_batch, accumulation, checkpointing)

    def predict(self, way: _Way, cap: int | None = None) -> Memory:
        return predict(self._program(way), way.batches, self.device, self.constants, cap)

    def smallest_cap(self, way: _Way) -> int:
        return smallest_cap(self._program(way), way.batches, self.device, self.constants)

    def _way(self, micro_batch: int, accumulation: int, checkpointing: bool) -> _Way:
        evaluation = min(self.constants.evaluation_batch, micro_batch)
        return _Way(BatchSizes(micro_batch, accumulation, evaluation), checkpointing)

    def _program(self, way: _Way) -> AllocationProgram:
        accumulate = way.batches.accumulation > 1
        kind = accumulate, way.checkpointing
        if kind not in self._programs:
            self._programs[kind] = trace_training(
                self.module,
                self.shape,
                self.training,
                precision=self.precision,
                accumulate=accumulate,
                checkpointing=way.checkpointing,
            )
        return self._programs[kind]


def _build(build: Callable[[], nn.Module]) -> nn.Module:
    """A network without its memory, where that can be had."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:  # it reads values while it is built, which a meta tensor does not have
        return build()


def _mib(size: int) -> str:
    """Rounded up: so much is enough."""
    return f"{-(-size // MIB):,} MiB"
