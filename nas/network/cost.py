"""What a proposal costs before it is trained, and how it would train under a memory cap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from optuna.trial import FixedTrial
from torch import nn

from nas.datasets import open_data
from nas.memory.plan import build_without_memory, plan_memory
from nas.memory.planned import DoesNotFit, MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.network.inspection import Inspection, inspect_training
from nas.recipe import Depth
from nas.seconds.machine import remembered
from nas.seconds.pace import measure_pace
from nas.seconds.rates import Rates
from nas.space import DataInfo, Training
from nas.space.load import load_space
from nas.space.parameters import smallest
from nas.space.user_code import aside


@dataclass(frozen=True)
class Subject:
    """A network to be costed, and how it is trained on what data."""

    build: Callable[[], nn.Module]
    training: Training
    data: DataInfo


def propose(
    space: str,
    data: str = "digits",
    chosen: Mapping[str, str] | None = None,
    info: DataInfo | None = None,
    depth: Depth = "8bit",
) -> Subject:
    """A proposal of a search space: the smallest one, but for the parameters that are chosen.

    Args:
        chosen: values by parameter, as text.
        info: of the dataset, where it is known already.
        depth: in which the dataset is read otherwise.

    Raises:
        NasError: no such space, dataset or parameter, or a value out of its range.
    """
    found, info = load_space(space), info or open_data(data, depth=depth).info
    proposal = found.suggest(FixedTrial(smallest(found, info, chosen)), info)
    return Subject(partial(found.build, proposal, info), proposal.training, info)


@dataclass(frozen=True)
class Cost:
    """What a network costs, and how it trains under a memory cap."""

    inspection: Inspection
    batch_size: int
    plan: MemoryPlan | DoesNotFit | None
    epoch_seconds: float | None
    """Predicted seconds of an epoch, validation included, on this machine's processor; None of a card, whose
    speed only a worker on it can tell."""
    learned_from: int
    """Trials on this machine that the prediction has learned from."""


def cost(
    subject: Subject,
    batch_size: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: Literal["cpu", "cuda"] = "cpu",
    memory_cap: int | None = None,
) -> Cost:
    """Inspect a network; nothing is trained and no memory for its weights is taken, where that can be.

    Args:
        batch_size: that of the proposal if None.
        device: cuda adds the fragmentation of its caching allocator, and workspaces.
        memory_cap: bytes to plan for.

    Raises:
        NasError: it cannot be built, or its memory cannot be predicted.
    """
    training = replace(subject.training, batch_size=batch_size or subject.training.batch_size)
    module, shape = build_without_memory(subject.build), subject.data.shape
    classes, bits = subject.data.num_classes, subject.data.bits
    with aside():  # a forward may print
        found = inspect_training(
            module, shape, training, precision=precision, device=device, classes=classes, bits=bits
        )
    plan = None
    if memory_cap is not None:
        constants = MemoryConstants.typical(device)
        plan = plan_memory(
            module,
            shape,
            training,
            cap=memory_cap,
            precision=precision,
            device=device,
            constants=constants,
            bits=bits,
        )
    if device == "cuda":
        return Cost(found, training.batch_size, plan, epoch_seconds=None, learned_from=0)
    rates = Rates(device, remembered(device))
    images, batch = subject.data, min(training.batch_size, subject.data.num_train)
    work = found.work.epoch(
        steps=images.num_train // batch, accumulation=1, evaluations=math.ceil(images.num_val / batch)
    )
    pace = measure_pace(torch.device("cpu"), precision)
    return Cost(found, training.batch_size, plan, rates.predict(work, pace), len(rates))
