"""What a proposal costs before it is trained, and how it would train under a memory cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from optuna.trial import FixedTrial

from nas.datasets import open_data
from nas.memory.inspection import Inspection, inspect
from nas.memory.plan import DoesNotFit, MemoryPlan, plan_memory
from nas.memory.prediction import MemoryConstants
from nas.plugins import load_space
from nas.ranges import smallest
from nas.space import DataInfo, Proposal


def propose(
    space: str,
    data: str = "digits",
    chosen: Mapping[str, str] | None = None,
    info: DataInfo | None = None,
) -> tuple[Proposal, DataInfo]:
    """A proposal of a search space: the smallest one, but for the parameters that are chosen.

    Args:
        chosen: values by parameter, as text.
        info: of the dataset, where it is known already.

    Raises:
        NasError: no such space, dataset or parameter, or a value out of its range.
    """
    found, info = load_space(space), info or open_data(data).info
    return found.suggest(FixedTrial(smallest(found, info, chosen)), info), info


@dataclass(frozen=True)
class Cost:
    """What the network of a proposal costs, and how it trains under a memory cap."""

    inspection: Inspection
    batch_size: int
    plan: MemoryPlan | DoesNotFit | None


def cost(
    proposal: Proposal,
    data: DataInfo,
    batch_size: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: Literal["cpu", "cuda"] = "cpu",
    memory_cap: int | None = None,
) -> Cost:
    """Inspect a proposal; nothing is trained and no memory for its weights is taken.

    Args:
        batch_size: that of the proposal if None.
        device: cuda adds the fragmentation of its caching allocator.
        memory_cap: bytes to plan for.

    Raises:
        NasError: the memory of the network cannot be predicted.
    """
    training = replace(proposal.training, batch_size=batch_size or proposal.training.batch_size)
    with torch.device("meta"):
        module = proposal.architecture.build(data)
    size, shape = training.batch_size, data.shape
    optimizer = training.optimizer
    found = inspect(module, shape, batch_size=size, optimizer=optimizer, precision=precision, device=device)
    plan = None
    if memory_cap is not None:
        none = MemoryConstants()
        plan = plan_memory(
            module, shape, training, cap=memory_cap, precision=precision, device=device, constants=none
        )
    return Cost(found, size, plan)
