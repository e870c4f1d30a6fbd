"""Rules of the cnn_fc space alone; those of every space are in test_contract.py."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from torch import nn

from nas.errors import InvalidSetting
from nas.network.layers import layer_table
from nas.space.load import load_space
from nas.space.parameters import parameters, smallest
from nas.testing.spaces import proposals
from search_spaces.cnn_fc import CnnFc, suggest
from search_spaces.shared.likely import COMMON, RARE
from tests.conftest import DIGITS
from tests.grids import each_once, first_of

SPACE = load_space("cnn_fc")
IMAGES = replace(DIGITS, shape=(3, 32, 32))
PLAIN = CnnFc(
    filters=(16, 32),
    convs_per_stage=2,
    kernel_size=3,
    downsampling="stride",
    batch_norm=False,
    bottleneck=None,
    fc_units=(64,),
    dropout=0.0,
    initialisation="he",
)


def names(model):
    return [name for name, _ in model.named_children()]


def test_layers_have_speaking_names_in_order():
    model = replace(
        PLAIN, downsampling="max_pool", convs_per_stage=1, batch_norm=True, bottleneck=8, dropout=0.2
    ).build(IMAGES)
    assert names(model) == [
        *("conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2", "pool2"),
        *("bottleneck", "bottleneck_norm", "bottleneck_relu", "flatten"),
        *("fc1", "fc1_norm", "fc1_relu", "dropout1", "classifier"),
    ]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_convolution_has_a_bias_only_without_batch_norm(batch_norm):
    model = replace(PLAIN, batch_norm=batch_norm, bottleneck=8).build(IMAGES)
    biases = {module.bias is not None for module in model.modules() if isinstance(module, nn.Conv2d)}
    assert biases == {not batch_norm}


def test_the_last_convolution_of_a_stage_takes_the_stride():
    model = PLAIN.build(IMAGES)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.stride[0] for conv in convolutions] == [1, 2, 1, 2]
    assert not any(name.startswith("pool") for name in names(model))


@each_once(downsampling=["stride", "avg_pool", "max_pool"], kernel_size=[3, 5])
@given(height=st.integers(4, 33), width=st.integers(4, 33))
@settings(derandomize=True, max_examples=15, deadline=None)
def test_every_stage_halves_odd_and_oblong_images_alike_and_rounds_up(
    downsampling, kernel_size, height, width
):
    data = replace(IMAGES, shape=(3, height, width))
    architecture = replace(PLAIN, downsampling=downsampling, kernel_size=kernel_size)
    with torch.device("meta"):
        model = architecture.build(data)
    flat = next(layer for layer in layer_table(model, data.shape).layers if layer.name == "flatten")
    assert flat.output_shape == (32 * -(-height // 4) * -(-width // 4),)


@pytest.mark.parametrize(
    ("shape", "fewest", "most"),
    first_of(
        4,
        [
            ((1, 4, 4), 1, 1),
            ((3, 32, 32), 2, 4),
            ((3, 224, 32), 2, 4),
            ((3, 2000, 2000), 6, 6),
            ((1, 8, 8), 1, 2),
            ((1, 28, 28), 1, 3),
            ((3, 64, 64), 3, 5),
            ((3, 224, 224), 4, 6),
        ],
    ),
)
def test_the_image_bounds_the_stages(shape, fewest, most):
    stages = parameters(SPACE, replace(IMAGES, shape=shape))[0]
    assert stages.name == "conv_stages"
    assert (stages.distribution.low, stages.distribution.high) == (fewest, most)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (3, 100), (1, 1)])
def test_an_image_too_small_is_refused_with_its_size(height, width):
    message = rf"cnn_fc needs images of at least 4x4 pixels, not {height}x{width}\."
    with pytest.raises(InvalidSetting, match=message):
        smallest(SPACE, replace(IMAGES, shape=(3, height, width)))


def test_filters_are_powers_of_two_that_at_most_double_and_end_at_512():
    sampled = [
        proposal.architecture.filters
        for _, proposal in proposals(SPACE, replace(IMAGES, shape=(3, 224, 224)), 300)
    ]
    for filters in sampled:
        assert all(width.bit_count() == 1 and 8 <= width <= 512 for width in filters)
        assert all(after in (before, 2 * before) for before, after in pairwise(filters))
    assert max(filters[-1] for filters in sampled) == 512


PARAMS = smallest(SPACE, IMAGES) | {"log2_filters": 5, "bottleneck": RARE}


@pytest.mark.parametrize(("log2_bottleneck", "bottleneck"), [(3, 8), (4, 16), (5, None), (6, None)])
def test_a_bottleneck_that_narrows_nothing_is_dropped(log2_bottleneck, bottleneck):
    proposal = suggest(FixedTrial(PARAMS | {"log2_bottleneck": log2_bottleneck}), IMAGES)
    assert proposal.architecture.filters == (32, 32)
    assert proposal.architecture.bottleneck == bottleneck


def test_parameters_that_lead_to_one_network_make_equal_proposals():
    without = suggest(FixedTrial(PARAMS | {"bottleneck": COMMON}), IMAGES)
    dropped = suggest(FixedTrial(PARAMS | {"log2_bottleneck": 6}), IMAGES)
    assert (without, without.digest) == (dropped, dropped.digest)


def test_no_width_is_asked_of_a_bottleneck_that_is_not_there():
    for trial, _ in proposals(SPACE, IMAGES, 20):
        assert ("log2_bottleneck" in trial.params) == (trial.params["bottleneck"] == RARE)


def test_batch_norm_is_the_rule_and_many_convolutions_always_have_it():
    sampled = [proposal.architecture for _, proposal in proposals(SPACE, IMAGES, 300)]
    bare = [each for each in sampled if not each.batch_norm]
    assert 0 < len(bare) <= len(sampled) / 6
    assert max(len(each.filters) * each.convs_per_stage for each in bare) <= 4
