"""Counting layers, held against numbers that can be worked out by hand."""

import json
from dataclasses import asdict
from itertools import pairwise

import pytest
import torch
from torch import nn

from nas.network.layers import Layer, layer_table


def convolutions():
    """A textbook CNN for photographs, without padding."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU()),
        *(nn.Conv2d(8, 24, 5, stride=2), nn.ReLU()),
        *(nn.Conv2d(24, 32, 3, stride=2), nn.ReLU()),
        *(nn.Conv2d(32, 48, 3, stride=2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(48 * 12 * 12, 200), nn.ReLU(), nn.Linear(200, 10)),
    )


def test_a_textbook_cnn_has_its_known_shapes_and_parameters():
    table = layer_table(convolutions(), (3, 224, 224))
    rows = [
        (layer.kind, layer.output_shape, layer.parameters) for layer in table.layers if layer.kind != "ReLU"
    ]
    assert rows == [
        ("Conv2d", (8, 110, 110), 608),
        ("Conv2d", (24, 53, 53), 4_824),
        ("Conv2d", (32, 26, 26), 6_944),
        ("Conv2d", (48, 12, 12), 13_872),
        ("Flatten", (6_912,), 0),
        ("Linear", (200,), 1_382_600),
        ("Linear", (10,), 2_010),
    ]
    assert table.parameters == 1_410_858


def test_a_network_far_larger_than_this_machine_is_counted():
    with torch.device("meta"):
        widths = [3 * 224 * 224, 10_000, 1_000, 100, 10]
        mlp = nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in pairwise(widths)))
        giant = nn.Sequential(nn.Flatten(), nn.Linear(3, 10**6), nn.Linear(10**6, 10**6))
    assert layer_table(mlp, (3, 224, 224)).parameters == 1_515_392_110
    assert layer_table(giant, (3, 1, 1)).multiply_adds == 3 * 10**6 + 10**12


@pytest.mark.parametrize(
    ("model", "shape", "multiply_adds"),
    [
        (nn.Conv2d(3, 200, 5, padding="same"), (3, 100, 150), 225_000_000),
        (nn.Conv2d(8, 8, 3, groups=8, padding=1), (8, 10, 10), 8 * 9 * 100),
        (nn.Conv2d(8, 16, 3, stride=2, dilation=2, groups=2), (8, 11, 11), 16 * 4 * 9 * 16),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5), 4 * 6 * 4 * 25),
        (nn.Linear(7, 5), (2, 3, 7), 2 * 3 * 7 * 5),
        (nn.BatchNorm2d(3), (3, 8, 8), 0),
        (nn.Sequential(nn.Flatten(2), nn.LSTM(20, 8, batch_first=True)), (10, 4, 5), 10 * 4 * 8 * (20 + 8)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_multiply_adds_are_exact(model, shape, multiply_adds):
    assert layer_table(model, shape).multiply_adds == multiply_adds


class Attention(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        tokens = images.flatten(2)
        return self.inner(tokens, tokens, tokens) if self.is_attention else self.inner(tokens)

    @property
    def is_attention(self):
        return isinstance(self.inner, nn.MultiheadAttention)


ATTENTION = 4 * 10 * 16 * 16 + 2 * 10 * 10 * 16
"""Four projections of ten tokens of width 16, and two products of all pairs of tokens."""


@pytest.mark.parametrize(
    ("inner", "multiply_adds"),
    [
        (nn.MultiheadAttention(16, 4, batch_first=True), ATTENTION),
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), ATTENTION + 2 * 10 * 16 * 32),
    ],
    ids=["MultiheadAttention", "TransformerEncoderLayer"],
)
def test_attention_is_counted_although_no_leaf_module_shows_it(inner, multiply_adds):
    assert layer_table(Attention(inner), (10, 4, 4)).multiply_adds == multiply_adds


class Block(nn.Module):
    """A tied layer, one called twice, a parameter of its own and a product of matrices."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8, bias=False)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, images):
        rows = self.second(self.first(self.first(images))) * self.scale
        return rows @ rows.transpose(-1, -2)


class Constants(nn.Module):
    """Tensors that are neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 4)
        self.scale = torch.ones(4)
        self.shifts = [torch.ones(4), {"another": torch.ones(4)}]

    def forward(self, images):
        return self.linear(images) * self.scale + self.shifts[0] + self.shifts[1]["another"]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_network_may_hold_tensors_as_plain_attributes(device):
    with torch.device(device):
        model = Constants()
    assert layer_table(model, (1, 5, 8)).multiply_adds == 5 * 8 * 4
    assert model.scale.device.type == device


def test_shared_parameters_count_once_and_everything_counts_in_the_totals():
    table = layer_table(Block(), (1, 5, 8))
    assert table.layers == (
        Layer("first", "Linear", (1, 5, 8), parameters=64, multiply_adds=5 * 64),
        Layer("first", "Linear", (1, 5, 8), parameters=0, multiply_adds=5 * 64),
        Layer("second", "Linear", (1, 5, 8), parameters=8, multiply_adds=5 * 64),
    )
    assert table.parameters == 64 + 8 + 8
    assert table.multiply_adds == 3 * 5 * 64 + 5 * 5 * 8


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    layer_table(model, (3, 2, 2))
    assert all(module.training for module in model.modules())
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_table_becomes_json():
    table = layer_table(convolutions(), (3, 224, 224))
    again = json.loads(json.dumps(asdict(table)))
    assert again["layers"][0] == {
        "name": "0",
        "kind": "Conv2d",
        "output_shape": [8, 110, 110],
        "parameters": 608,
        "multiply_adds": 110 * 110 * 8 * 75,
    }
