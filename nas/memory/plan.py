"""How to train a network under a memory cap: in whole batches, with accumulation, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.memory.allocator import OutOfMemory
from nas.memory.planned import DoesNotFit, Levers, MemoryPlan
from nas.memory.prediction import Device, MemoryConstants, predict, smallest_cap
from nas.memory.program import AllocationProgram, BatchSizes, Memory
from nas.memory.trace import Precision, trace_training
from nas.seconds.work import StepWork
from nas.space import Training

MIN_BATCH_NORM_BATCH = 16
"""Images whose statistics batch norm can still trust."""
NEARLY = 0.98
"""Nobody needs to know the smallest cap more exactly than this part of it."""


def plan_memory(
    network: nn.Module | Callable[[], nn.Module],
    shape: tuple[int, int, int],
    training: Training,
    *,
    cap: int,
    precision: Precision,
    device: Device,
    constants: MemoryConstants,
    after: Levers | None = None,
    ask_bf16: bool = True,
    classes: int | None = None,
    bits: int = 8,
) -> MemoryPlan | DoesNotFit:
    """Choose how to train `network`, or what builds it, on images of `shape` (channels, height, width).

    Takes the first way that stays under `cap` bytes, context included: whole batches; halves, quarters … of a
    batch, not under 16 images with batch norm, and accumulation; the same with checkpoints.

    Args:
        after: a way that was not frugal enough in spite of its prediction, whatever it was; begin behind it.
        ask_bf16: say what bf16 would change about a network that does not fit, for half as much time again.
        classes: that the network must tell apart; None for whatever it does.
        bits: of a value of a pixel, 8 or 16.

    Raises:
        Untraceable: the memory of the network cannot be predicted.
        WrongLogits: it does not give (batch, classes).
    """
    module = network if isinstance(network, nn.Module) else build_without_memory(network)
    predictor = _Predictor(module, shape, training, precision, device, constants, classes, bits)
    ways = list(predictor.ways())
    frugal_of_kind = {levers.kind: levers for levers in ways}
    for levers in ways[ways.index(after) + 1 if after else 0 :]:
        if predictor.least(levers) <= cap and predictor.fits(frugal_of_kind[levers.kind], cap):
            with suppress(OutOfMemory):
                return MemoryPlan(
                    **asdict(levers),
                    memory=(memory := predictor.predict(levers, cap)),
                    reservation=constants.calibrated(memory.reserved),
                    work=predictor.work(levers),
                    evaluation_batch=predictor.batches(levers).evaluation,
                )
    frugal, enough, memory = predictor.most_frugal(ways)
    bf16 = None
    if ask_bf16 and precision == "fp32":
        bf16 = replace(predictor, precision="bf16").smallest_cap(frugal)[0]
    return DoesNotFit(cap=cap, smallest_cap=enough, memory=memory, smallest_cap_bf16=bf16)


@dataclass(frozen=True)
class _Predictor:
    """Predicts a network's memory for each way of training it. Programs are traced when first needed."""

    module: nn.Module
    shape: tuple[int, int, int]
    training: Training
    precision: Precision
    device: Device
    constants: MemoryConstants
    classes: int | None = None
    bits: int = 8
    _programs: dict[tuple[bool, bool], AllocationProgram] = field(default_factory=dict, init=False)
    """Programs for any batch size, by kind."""
    _traced: dict[Levers, AllocationProgram] = field(default_factory=dict, init=False)
    """Programs for one micro-batch each."""

    def ways(self) -> Iterator[Levers]:
        """From the fastest to the most frugal."""
        least = MIN_BATCH_NORM_BATCH if self._normalised else 1
        for checkpointing in (False, True):
            micro_batch, accumulation = self.training.batch_size, 1
            yield Levers(micro_batch, accumulation, checkpointing)
            while micro_batch % 2 == 0 and micro_batch // 2 >= least:
                micro_batch, accumulation = micro_batch // 2, accumulation * 2
                yield Levers(micro_batch, accumulation, checkpointing)

    def predict(self, levers: Levers, cap: int) -> Memory:
        return predict(self._program(levers.kind), self.batches(levers), self.device, self.constants, cap)

    def work(self, levers: Levers) -> StepWork:
        return self._program(levers.kind).work(self.batches(levers))

    def fits(self, levers: Levers, cap: int) -> bool:
        """Whether a way stays under the cap, evaluation apart: for half the work of `predict`."""
        try:
            predict(self._program_for(levers), self.batches(levers), self.device, self.constants, cap)
        except OutOfMemory:
            return False
        return True

    def least(self, levers: Levers) -> int:
        """Bytes that a way takes at least, as far as a step in whole batches tells.

        Accumulation keeps the gradients beside what such a step of a micro-batch needs; checkpoints spare
        nothing of what would be needed without any image.
        """
        batches = BatchSizes(0) if levers.checkpointing else self.batches(levers)
        peak = self._program((False, False)).peak(batches)
        return self.constants.calibrated(self.constants.beside(peak).reserved)

    def most_frugal(self, ways: list[Levers]) -> tuple[Levers, int, Memory]:
        """The way with the smallest cap: one of three, and those that could hardly win are not traced."""
        best: tuple[Levers, int, Memory] | None = None
        middle = len(ways) // 2
        for levers in dict.fromkeys((ways[-1], ways[middle - 1], ways[0])):
            if best is None or self.least(levers) < NEARLY * best[1]:
                cap, memory = self.smallest_cap(levers)
                if best is None or cap < best[1]:
                    best = levers, cap, memory
        assert best
        return best

    def smallest_cap(self, levers: Levers) -> tuple[int, Memory]:
        """The smallest cap in bytes that a way survives, and its peak then."""
        program = self._program_for(levers)
        batches = self.batches(levers)
        enough = smallest_cap(program, batches, self.device, self.constants)
        return enough, predict(program, batches, self.device, self.constants, enough)

    def batches(self, levers: Levers) -> BatchSizes:
        evaluation = min(self.constants.evaluation_batch, levers.micro_batch)
        return BatchSizes(levers.micro_batch, levers.accumulation, evaluation)

    def _program(self, kind: tuple[bool, bool]) -> AllocationProgram:
        """For any batch size."""
        if kind not in self._programs:
            self._programs[kind] = self._trace(kind)
        return self._programs[kind]

    def _program_for(self, levers: Levers) -> AllocationProgram:
        """For one way at least: half the work where there is no program for any batch size."""
        # batch norm cannot train on one image
        if levers.kind in self._programs or (self._normalised and levers.micro_batch == 1):
            return self._program(levers.kind)
        if levers not in self._traced:
            self._traced[levers] = self._trace(levers.kind, levers.micro_batch)
        return self._traced[levers]

    def _trace(self, kind: tuple[bool, bool], images: int | None = None) -> AllocationProgram:
        accumulate, checkpointing = kind
        return trace_training(
            self.module,
            self.shape,
            self.training,
            precision=self.precision,
            accumulate=accumulate,
            checkpointing=checkpointing,
            kernels=self.device,
            images=images,
            classes=self.classes,
            bits=self.bits,
        )

    @cached_property
    def _normalised(self) -> bool:
        return any(isinstance(module, _BatchNorm) for module in self.module.modules())


def build_without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` builds, on the meta device if that can be."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:  # it reads values while it is built, which a meta tensor does not have
        return build()
