import json
from dataclasses import asdict, replace

import pytest
import torch

from nas.engines import warmup
from nas.engines.warmup import measure_constants
from nas.memory.prediction import MemoryConstants
from tests.cards import Card, present
from tests.memory.measure import blank_images
from tests.memory.networks import SHAPE


def test_on_a_cpu_only_the_numbers_of_an_epoch_lie_beside_a_step() -> None:
    few, many = (measure_constants(blank_images(SHAPE, count)) for count in (100, 1100))
    assert (few.workspace, few.data) == ((), ())
    assert 1000 * 48 <= many.context - few.context < 1000 * 100
    assert many.evaluation_batch > 0


def test_they_travel_as_json() -> None:
    constants = measure_constants(blank_images(SHAPE, 100))
    assert MemoryConstants(**json.loads(json.dumps(asdict(constants)))) == constants


def test_on_a_card_what_the_warm_up_leaves_are_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Card(blocks=[1]), Card(blocks=[3000, 200])
    present(monkeypatch, first, second)
    monkeypatch.setattr(warmup, "warm_up", lambda device: second.blocks.extend([800, 801]))
    constants = measure_constants(replace(blank_images(SHAPE, 10), device=torch.device("cuda", 1)))
    assert constants.data == (3000, 200)
    assert constants.workspace == (800, 801)
