"""What a network costs is what its own training takes, however it is built."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import BrokenFile
from nas.memory.planned import MemoryPlan
from nas.network import cost as costing

SPACE = """
from dataclasses import dataclass
import torch
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Wide:
    def build(self, data):
        width = {width}
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, data.num_classes))

def suggest(trial, data):
    return Proposal(Wide(), Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""


def test_averaged_weights_are_counted_as_the_plan_counts_them() -> None:
    plain = costing.propose("mlp")
    averaged = replace(plain, training=replace(plain.training, ema_decay=0.9))
    without, cost = costing.cost(plain), costing.cost(averaged, memory_cap=2**30)
    memory = cost.inspection.training_memory
    assert memory.optimizer_state >= without.inspection.training_memory.optimizer_state + memory.parameters
    assert isinstance(cost.plan, MemoryPlan)
    assert cost.plan.memory.allocated == memory.allocated


def test_a_network_that_only_builds_for_real_is_inspected_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SPACE.format(width="int(torch.tensor(8.0).item())"))
    assert costing.cost(costing.propose(str(file))).inspection.parameters == 64 * 8 + 8 + 80 + 10


def test_a_network_that_cannot_be_built_is_blamed_on_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SPACE.format(width="eight"))
    with pytest.raises(BrokenFile, match=r"mine\.py, line 10: NameError: name 'eight'"):
        costing.cost(costing.propose(str(file)))


def test_nobody_knows_what_an_epoch_takes_on_a_card_before_a_worker_is_there() -> None:
    assert costing.cost(costing.propose("mlp"), device="cuda").epoch_seconds is None
