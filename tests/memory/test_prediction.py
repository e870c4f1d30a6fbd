"""What a process takes on its device beside the tensors of a step."""

import pytest
from torch import nn

from nas.memory.allocator import MIB
from nas.memory.prediction import WORKSPACE, MemoryConstants, predict
from nas.memory.program import AllocationProgram, BatchSizes
from nas.memory.trace import trace_training
from nas.network.inspection import inspect
from tests.memory.networks import SHAPE, settings


@pytest.fixture(scope="module")
def program() -> AllocationProgram:
    """Of a network whose largest tensor, its images, has 1.5 MiB at a batch of 512."""
    return trace_training(nn.Sequential(nn.Flatten(), nn.Linear(768, 10)), SHAPE, settings(512))


@pytest.mark.parametrize(
    ("workspace", "segments"),
    [((WORKSPACE, WORKSPACE), 22), ((2 * WORKSPACE,), 18 + 20 + 2), ((32 * MIB, 32 * MIB), 86), ((), 22)],
    ids=["both share a segment with the images", "one block would not", "Hopper", "none"],
)
def test_workspaces_lie_where_the_allocator_puts_them(
    program: AllocationProgram, workspace: tuple[int, ...], segments: int
) -> None:
    constants = MemoryConstants(workspace=workspace)
    memory = predict(program, BatchSizes(512), "cuda", constants)
    assert memory.reserved == segments * MIB
    assert memory.workspace == sum(workspace)


def test_of_two_workers_the_larger_workspaces_and_data_count() -> None:
    old = MemoryConstants(context=9, workspace=(8, 8), data=(5, 1))
    new = MemoryConstants(context=7, workspace=(32, 32), data=(5,))
    for one, other in ((old, new), (new, old)):
        assert one.at_least(other) == MemoryConstants(context=9, workspace=(32, 32), data=(5, 1))


def test_inspecting_for_a_card_counts_the_workspaces_that_training_takes() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
    memory = inspect(network, SHAPE, batch_size=512, device="cuda").training_memory
    assert memory.workspace == 2 * WORKSPACE
    assert memory.reserved == 22 * MIB
    assert inspect(network, SHAPE, batch_size=512).training_memory.workspace == 0
