"""Rules of the residual space and its blocks alone; those of every space are in test_contract.py."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import InvalidSetting
from nas.network.layers import layer_table
from nas.space.load import load_space
from nas.space.parameters import parameters, smallest
from nas.testing.spaces import proposals
from search_spaces.residual import ResidualNetwork, stem_halvings
from search_spaces.shared.blocks import Residual, SqueezeExcitation, residual_block
from tests.conftest import DIGITS
from tests.grids import each_once, first_of

SPACE = load_space("residual")
IMAGES = replace(DIGITS, shape=(3, 32, 32))
PLAIN = ResidualNetwork(
    stem_kernel=3,
    stem_halvings=0,
    widths=(8, 16, 16),
    blocks_per_stage=2,
    block="plain",
    reduction=None,
    separable=False,
    squeeze_excitation=False,
    downsampling="stride",
    fc_units=(),
    dropout=0.0,
    initialisation="he",
)
BOTTLENECK = replace(PLAIN, block="bottleneck", reduction=2)


def convolutions(module):
    return [each for each in module.modules() if isinstance(each, nn.Conv2d)]


def names(module):
    return [name for name, _ in module.named_children()]


def test_layers_have_speaking_names_in_order():
    model = replace(PLAIN, stem_halvings=2, downsampling="max_pool", dropout=0.2).build(IMAGES)
    assert names(model) == [
        *("stem", "stem_norm", "stem_relu", "stem_pool2"),
        *("stage1_block1", "stage1_block2", "pool1", "stage2_block1", "stage2_block2"),
        *("pool2", "stage3_block1", "stage3_block2", "average", "flatten", "dropout", "classifier"),
    ]


@pytest.mark.parametrize(
    ("kind", "separable", "convs"),
    [
        ("plain", False, {"conv1": (8, 16, 3, 1), "conv2": (16, 16, 3, 1)}),
        (
            "plain",
            True,
            {
                "depthwise1": (8, 8, 3, 8),
                "conv1": (8, 16, 1, 1),
                "depthwise2": (16, 16, 3, 16),
                "conv2": (16, 16, 1, 1),
            },
        ),
        ("bottleneck", False, {"reduce": (8, 4, 1, 1), "conv": (4, 4, 3, 1), "expand": (4, 16, 1, 1)}),
        ("bottleneck", True, {"reduce": (8, 4, 1, 1), "conv": (4, 4, 3, 4), "expand": (4, 16, 1, 1)}),
    ],
)
def test_a_block_is_made_of_the_convolutions_of_its_kind(kind, separable, convs):
    block = residual_block(kind, 8, 16, reduction=4, separable=separable)
    made = {
        name: (conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.groups)
        for name, conv in block.body.named_children()
        if isinstance(conv, nn.Conv2d)
    }
    assert made == convs
    for conv, following in pairwise(block.body):
        assert not isinstance(conv, nn.Conv2d) or isinstance(following, nn.BatchNorm2d)


@pytest.mark.parametrize("kind", ["plain", "bottleneck"])
@pytest.mark.parametrize(
    ("outputs", "stride", "projected"), [(8, 1, False), (16, 1, True), (8, 2, True), (16, 2, True)]
)
def test_a_shortcut_is_the_identity_or_a_projection_where_the_shape_changes(kind, outputs, stride, projected):
    block = residual_block(kind, 8, outputs, stride=stride, reduction=2)
    assert len(convolutions(block.shortcut)) == projected
    assert block(torch.randn(2, 8, 9, 9)).shape == (2, outputs, -(-9 // stride), -(-9 // stride))


def test_a_block_adds_its_body_to_its_shortcut():
    block = Residual(nn.Conv2d(2, 2, 1), nn.Identity())
    nn.init.zeros_(block.body.weight)
    nn.init.constant_(block.body.bias, 0.5)
    maps = torch.tensor([-1.0, 2.0]).view(1, 2, 1, 1)
    assert block(maps).flatten().tolist() == [0.0, 2.5]


def test_squeeze_excitation_scales_each_channel_by_a_gate_that_sees_all_of_them():
    layer = SqueezeExcitation(16)
    maps = torch.rand(3, 16, 5, 5)
    gates = (layer(maps) / maps).mean((2, 3))
    torch.testing.assert_close(layer(maps), maps * gates[:, :, None, None])
    assert ((gates > 0) & (gates < 1)).all()
    other = layer(torch.cat([maps[:, :1] + 9, maps[:, 1:]], 1))
    assert not torch.allclose(other[:, 1:], layer(maps)[:, 1:])
    assert len(convolutions(residual_block("plain", 8, 8, squeeze_excitation=True))) == 4


@each_once(
    downsampling=["stride", "avg_pool", "max_pool"],
    architecture={"plain": PLAIN, "bottleneck": BOTTLENECK},
)
@given(height=st.integers(4, 70), width=st.integers(4, 70), halvings=st.integers(0, 2))
@settings(derandomize=True, max_examples=8, deadline=None)
def test_every_stage_halves_odd_and_oblong_images_alike_and_rounds_up(
    downsampling, architecture, height, width, halvings
):
    data = replace(IMAGES, shape=(3, height, width))
    architecture = replace(architecture, downsampling=downsampling, stem_halvings=halvings, fc_units=(32,))
    with torch.device("meta"):
        model = architecture.build(data)
    flat = next(layer for layer in layer_table(model, data.shape).layers if layer.name == "flatten")
    smaller = 2 ** (2 + halvings)
    assert flat.output_shape == (16 * -(-height // smaller) * -(-width // smaller),)


@pytest.mark.parametrize("architecture", [PLAIN, BOTTLENECK], ids=["plain", "bottleneck"])
def test_each_stage_but_the_first_has_one_stride(architecture):
    model = architecture.build(IMAGES)
    strided = [
        name for name, block in model.named_children() if any(c.stride[0] == 2 for c in convolutions(block))
    ]
    assert strided == ["stage2_block1", "stage3_block1"]
    assert all(c.kernel_size == (3, 3) for c in convolutions(model.stage2_block1.body) if c.stride[0] == 2)


def test_the_head_averages_the_maps_or_reads_all_of_them():
    assert names(PLAIN.build(IMAGES))[-3:] == ["average", "flatten", "classifier"]
    pyramid = replace(PLAIN, fc_units=(64, 32)).build(IMAGES)
    assert (
        names(pyramid)[-7:]
        == ["flatten", "fc1", "fc1_norm", "fc1_relu", "fc2", "fc2_norm", "fc2_relu", "classifier"][-7:]
    )
    assert pyramid.fc1.in_features == 16 * 8 * 8


@pytest.mark.parametrize(
    ("shape", "halvings", "fewest", "most"),
    first_of(
        4,
        [
            ((1, 4, 4), 0, 1, 2),
            ((3, 64, 64), 1, 3, 4),
            ((3, 224, 32), 0, 3, 4),
            ((3, 2000, 2000), 6, 2, 4),
            ((1, 8, 8), 0, 1, 3),
            ((1, 28, 28), 0, 2, 4),
            ((3, 32, 32), 0, 3, 4),
            ((3, 56, 56), 0, 3, 4),
            ((3, 224, 224), 2, 3, 4),
        ],
    ),
)
def test_the_image_bounds_the_stem_and_the_stages(shape, halvings, fewest, most):
    data = replace(IMAGES, shape=shape)
    stages = parameters(SPACE, data)[0]
    assert stages.name == "stages"
    assert stem_halvings(data) == halvings
    assert (stages.distribution.low, stages.distribution.high) == (fewest, most)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (3, 100), (1, 1)])
def test_an_image_too_small_is_refused_with_its_size(height, width):
    message = rf"residual needs images of at least 4x4 pixels, not {height}x{width}\."
    with pytest.raises(InvalidSetting, match=message):
        smallest(SPACE, replace(IMAGES, shape=(3, height, width)))


def test_widths_are_powers_of_two_that_at_most_double():
    for _, proposal in proposals(SPACE, IMAGES, 100):
        widths = proposal.architecture.widths
        assert 16 <= widths[0] <= 64
        assert all(after in (before, 2 * before) for before, after in pairwise(widths))


def test_options_without_effect_are_not_asked_for():
    seen = set()
    for trial, proposal in proposals(SPACE, DIGITS, 100):
        architecture = proposal.architecture
        seen.add((len(architecture.widths) > 1, architecture.block, bool(architecture.fc_units)))
        assert ("downsampling" in trial.params) == (len(architecture.widths) > 1)
        assert ("reduction" in trial.params) == (architecture.block == "bottleneck")
        assert ("fc_layers" in trial.params) == bool(architecture.fc_units)
    assert len(seen) == 8
