"""Plans of one network ask for the same programs again and again: each is traced once."""

from typing import Any

import pytest
from torch import nn

from nas.memory.program import AllocationProgram
from nas.memory.trace import trace_training
from nas.space import Training

PROGRAMS: dict[object, AllocationProgram] = {}


def traced_once(
    network: nn.Module, shape: tuple[int, int, int], training: Training, **how: Any
) -> AllocationProgram:
    weights = tuple(
        (name, weight.shape, weight.dtype, weight.requires_grad)
        for name, weight in network.named_parameters()
    )
    asked = (type(network), str(network), weights, shape, training, tuple(sorted(how.items())))
    if asked not in PROGRAMS:
        PROGRAMS[asked] = trace_training(network, shape, training, **how)
    return PROGRAMS[asked]


@pytest.fixture(autouse=True)
def _traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.memory.plan.trace_training", traced_once)
