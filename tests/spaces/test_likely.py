"""What is likely is likely, what never did well cannot be had, and what did well can."""

from dataclasses import replace

import pytest
from optuna.trial import FixedTrial

from nas.space import AUGMENTATIONS
from nas.space.load import load_space
from nas.testing.spaces import make_data, proposals
from search_spaces.baselines import resnet8, resnet20
from search_spaces.baselines.cnn_400 import suggest as cnn_400
from search_spaces.baselines.cnn_bottleneck import suggest as cnn_bottleneck
from search_spaces.cnn_fc import CnnFc
from search_spaces.shared.likely import COMMON, RARE, suggest_likely_training
from tests.conftest import DIGITS

IMAGES = replace(make_data((3, 32, 32), AUGMENTATIONS), num_train=2500)
CNN_FC, RESIDUAL = load_space("cnn_fc"), load_space("residual")
TRAINING = {
    "log2_batch_size": 5,
    "larger_batch": COMMON,
    "optimizer": "sgd",
    "learning_rate_sgd": 0.3,
    "weight_decay_sgd": 1e-4,
    "schedule": "cosine",
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "augmentation": "none",
}
CNN = {
    "conv_stages": 3,
    "convs_per_stage": 1,
    "one_conv_more": COMMON,
    "log2_filters": 5,
    "doubling_2": 1,
    "doubling_3": 1,
    "no_batch_norm": COMMON,
    "fc_layers": 1,
    "log2_fc_units": 6,
    "fc_halving_2": 1,
    "fc_halving_3": 1,
    "kernel_size": 3,
    "downsampling": "max_pool",
    "bottleneck": COMMON,
    "dropout": 0.0,
    "initialisation": "he",
}
ADAM = {"optimizer": "adam", "learning_rate_adam": 1e-2, "weight_decay_adam": 1e-5}
STANDARD = TRAINING | {
    "log2_batch_size": 6,
    "optimizer": "adamw",
    "learning_rate_adam": 2e-3,
    "weight_decay_adamw": 1e-2,
    "schedule": "onecycle",
    "label_smoothing": 0.0,
    "augmentation": "shift+flip",
}
"""How baselines are trained."""


def training(**params):
    return suggest_likely_training(FixedTrial(TRAINING | params), IMAGES)


@pytest.mark.parametrize(
    ("params", "batch_norm", "highest"),
    [
        ({"larger_batch": RARE}, True, 0.3),
        ({}, True, 0.15),
        ({"log2_batch_size": 6}, True, 0.3 / 2**0.5),
        ({}, False, 0.05),
        (ADAM | {"larger_batch": RARE}, True, 1e-2),
        (ADAM, True, 5e-3),
        (ADAM | {"larger_batch": RARE}, False, 1e-2 / 3),
    ],
)
def test_the_highest_learning_rate_is_that_of_family_batch_size_and_norm(params, batch_norm, highest):
    trial = FixedTrial(TRAINING | params)
    rate = suggest_likely_training(trial, IMAGES, batch_norm=batch_norm).learning_rate
    assert rate == pytest.approx(highest)


def test_a_rate_below_the_highest_is_what_it_is():
    assert training(learning_rate_sgd=0.05).learning_rate == 0.05


@pytest.mark.parametrize(
    ("num_train", "largest", "larger"), [(100, 5, 32), (1257, 5, 128), (2500, 6, 128), (45_000, 7, 128)]
)
def test_an_epoch_has_32_steps_and_rarely_8(num_train, largest, larger):
    data = replace(DIGITS, num_train=num_train)
    sampled = [trial for trial, _ in proposals(CNN_FC, data, 1)]
    assert sampled[0].distributions["log2_batch_size"].high == largest
    trial = FixedTrial(TRAINING | {"larger_batch": RARE})
    assert suggest_likely_training(trial, data).batch_size == larger


@pytest.mark.parametrize("space", [CNN_FC, RESIDUAL], ids=lambda space: space.name)
def test_hopeless_combinations_cannot_be_had(space):
    sampled = [proposal for _, proposal in proposals(space, IMAGES, 400)]
    for proposal in sampled:
        assert proposal.training.schedule != "constant" or proposal.training.ema_decay
        assert len(proposal.architecture.fc_units) < 3 or proposal.architecture.dropout <= 0.2
    assert sum(proposal.training.batch_size > 64 for proposal in sampled) < 100, "one in six has few steps"


@pytest.mark.parametrize(
    ("baseline", "params"),
    [
        (cnn_400, {"log2_fc_units": 9}),
        (cnn_bottleneck, {"log2_fc_units": 8, "bottleneck": RARE, "log2_bottleneck": 3}),
    ],
    ids=["cnn_400", "cnn_bottleneck"],
)
def test_baselines_of_convolutions_are_reached_but_for_widths_that_are_no_powers_of_two(baseline, params):
    wanted = baseline(None, IMAGES)
    chosen = CNN | {"conv_stages": 2, "no_batch_norm": RARE} | STANDARD | params
    reached = CNN_FC.suggest(FixedTrial(chosen), IMAGES)
    assert reached.training == wanted.training
    widths = {name: getattr(wanted.architecture, name) for name in ("fc_units", "bottleneck")}
    assert replace(reached.architecture, **widths) == wanted.architecture


@pytest.mark.parametrize(
    ("baseline", "more"), [(resnet8, COMMON), (resnet20, RARE)], ids=["resnet8", "resnet20"]
)
def test_residual_baselines_are_reached(baseline, more):
    small = next(params for params in RESIDUAL.starts(IMAGES) if params["head"] == "average")
    network = {"two_blocks_more": more, "downsampling": "stride", "doubling_2": 1, "doubling_3": 1}
    extras = {"alternating_flip": False, "mixup": 0.0, "clip_norm": 0.0, "ema_decay": 0.0}
    reached = RESIDUAL.suggest(FixedTrial(small | STANDARD | network | extras), IMAGES)
    assert reached == baseline.suggest(None, IMAGES)


BEST_TENTH = [
    (
        {"log2_filters": 6, "doubling_2": 0, "fc_layers": 2, "initialisation": "xavier", "dropout": 0.4},
        {"learning_rate_sgd": 0.0857, "weight_decay_sgd": 9.4e-4, "label_smoothing": 0.2},
        {"filters": (64, 64, 128), "fc_units": (64, 32)},
        {"batch_size": 32, "learning_rate": 0.0857},
    ),
    (
        {"doubling_2": 0, "kernel_size": 5, "downsampling": "stride", "bottleneck": RARE}
        | {"log2_bottleneck": 6, "fc_layers": 2, "log2_fc_units": 8, "fc_halving_2": 0},
        {"optimizer": "adamw", "learning_rate_adam": 0.00475, "weight_decay_adamw": 0.0028},
        {"filters": (32, 32, 64), "bottleneck": None, "fc_units": (256, 256)},
        {"batch_size": 32, "learning_rate": 0.00475},
    ),
    (
        {"log2_filters": 6, "doubling_2": 0, "downsampling": "avg_pool", "fc_layers": 2, "dropout": 0.4},
        {"log2_batch_size": 6, "larger_batch": RARE, "optimizer": "nadam", "learning_rate_adam": 6.5e-4}
        | {"weight_decay_adam": 6.3e-6, "schedule": "restarts"},
        {"filters": (64, 64, 128), "dropout": 0.4},
        {"batch_size": 256, "learning_rate": 6.5e-4, "schedule": "restarts"},
    ),
    (
        {"doubling_2": 0, "doubling_3": 0, "downsampling": "stride", "log2_fc_units": 7, "dropout": 0.5},
        {"log2_batch_size": 6, "learning_rate_sgd": 0.133, "weight_decay_sgd": 7.9e-5, "warmup": 0.2},
        {"filters": (32, 32, 32), "fc_units": (128,), "dropout": 0.5},
        {"batch_size": 64, "learning_rate": 0.133},
    ),
    (
        {"conv_stages": 4, "convs_per_stage": 2, "doubling_2": 0, "doubling_4": 1, "kernel_size": 5}
        | {"bottleneck": RARE, "log2_bottleneck": 3, "log2_fc_units": 5},
        {"learning_rate_sgd": 0.0194, "weight_decay_sgd": 1.2e-5, "schedule": "restarts", "warmup": 0.2},
        {"filters": (32, 32, 64, 128), "bottleneck": 8, "convs_per_stage": 2},
        {"learning_rate": 0.0194, "weight_decay": 1.2e-5},
    ),
    (
        {"log2_filters": 4, "kernel_size": 5, "fc_layers": 2, "log2_fc_units": 7, "dropout": 0.5},
        {"larger_batch": RARE, "learning_rate_adam": 0.0029, "weight_decay_adam": 6.2e-6}
        | {"optimizer": "adam", "schedule": "restarts"},
        {"filters": (16, 32, 64), "dropout": 0.5},
        {"batch_size": 128, "learning_rate": 0.0029},
    ),
    (
        {"doubling_2": 0, "doubling_3": 0, "convs_per_stage": 2, "downsampling": "avg_pool"}
        | {"fc_layers": 3, "log2_fc_units": 9, "fc_halving_2": 0, "fc_halving_3": 0, "dropout": 0.2},
        {"log2_batch_size": 6, "learning_rate_adam": 0.00107, "weight_decay_adam": 3.5e-6}
        | {"optimizer": "adam", "schedule": "restarts", "warmup": 0.0},
        {"filters": (32, 32, 32), "fc_units": (512, 512, 512), "dropout": 0.2},
        {"batch_size": 64, "learning_rate": 0.00107},
    ),
    (
        {"convs_per_stage": 2, "fc_layers": 2, "log2_fc_units": 5, "dropout": 0.3},
        {"learning_rate_sgd": 0.0272, "weight_decay_sgd": 8.5e-5, "augmentation": "shift+flip+cutout"},
        {"filters": (32, 64, 128), "fc_units": (32, 16), "dropout": 0.3},
        {"batch_size": 32, "learning_rate": 0.0272, "augmentation": ("shift", "flip", "cutout")},
    ),
]
"""The eight best of 76 random proposals of version 1, on CIFAR-10 with 2,500 images."""


@pytest.mark.parametrize(("network", "training", "architecture", "settings"), BEST_TENTH)
def test_the_best_tenth_of_version_1_is_reached(network, training, architecture, settings):
    proposal = CNN_FC.suggest(FixedTrial(CNN | network | TRAINING | training), IMAGES)
    assert isinstance(proposal.architecture, CnnFc)
    assert proposal.architecture.batch_norm
    assert {name: getattr(proposal.architecture, name) for name in architecture} == architecture
    assert {name: getattr(proposal.training, name) for name in settings} == settings
