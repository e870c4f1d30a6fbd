import json
import os
from dataclasses import asdict, replace

import pytest
import torch

from nas.engines import warmup
from nas.engines.warmup import context_now, measure_constants
from nas.memory.prediction import MemoryConstants
from tests.cards import GIB, Card, present
from tests.memory.measure import blank_images
from tests.memory.networks import SHAPE

MIB = 2**20


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
    assert constants.threads == 132 * 2048


@pytest.mark.parametrize(
    ("processes", "context", "later"),
    [
        ({os.getpid(): 700 * MIB, 1: GIB}, 600 * MIB, 600 * MIB),
        ({1: GIB}, 400 * MIB, 0),
        (None, 400 * MIB, 0),
    ],
    ids=["of this process", "of others alone, as in a container", "nobody may know"],
)
def test_the_context_is_this_processs_own_where_it_can_be_known(
    processes: dict[int, int] | None, context: int, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise all that is in use counts at first; and nothing afterwards, when others have started too."""
    card = Card(blocks=[100 * MIB], free=79 * GIB + 524 * MIB, processes=processes)
    present(monkeypatch, card)
    monkeypatch.setattr(warmup, "warm_up", lambda device: None)
    images = replace(blank_images(SHAPE, 10), device=torch.device("cuda", 0))
    assert measure_constants(images).context == context
    assert context_now(images.device) == later
