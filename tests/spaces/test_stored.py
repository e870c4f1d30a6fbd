"""Studies made before today must rebuild: what a space proposed once, it proposes for ever."""

import hashlib

import pytest
from optuna.distributions import distribution_to_json
from optuna.trial import FixedTrial

from nas.space import DataInfo
from nas.space.load import load_space
from nas.space.parameters import parameters
from tests.conftest import DIGITS

CIFAR10 = DataInfo(
    name="cifar10",
    shape=(3, 32, 32),
    num_classes=10,
    num_train=45_000,
    num_val=5_000,
    augmentations=("shift", "flip", "cutout"),
)

STORED = {
    "log2_batch_size": 7,
    "optimizer": "adam",
    "learning_rate_adam": 0.005,
    "weight_decay_adam": 2e-06,
    "schedule": "cosine",
    "warmup": 0.1,
    "label_smoothing": 0.2,
    "augmentation": "shift",
    "fc_layers": 2,
    "log2_fc_units": 8,
    "fc_halving_2": 1,
    "batch_norm": True,
    "dropout": 0.3,
    "initialisation": "xavier",
}
CNN = {
    "conv_stages": 2,
    "convs_per_stage": 3,
    "log2_filters": 5,
    "doubling_2": 1,
    "kernel_size": 3,
    "downsampling": "max_pool",
    "bottleneck": True,
    "log2_bottleneck": 4,
}


SGD = {
    "optimizer": "sgd",
    "learning_rate_sgd": 0.1,
    "weight_decay_sgd": 1e-4,
    "schedule": "onecycle",
    "augmentation": "none",
}
PLAIN = CNN | SGD | {"bottleneck": False}


@pytest.mark.parametrize(
    ("name", "params", "digest"),
    [
        ("mlp", STORED, "3549f7c42031ddac044444aa2a041f059497f22c3550d0a9252067ba78dd08f1"),
        ("mlp", STORED | SGD, "af04140a727b65231a805ea968709a0c2cdd69653b091ad3bab6975cf3367617"),
        ("cnn_fc", STORED | CNN, "967eb81117b0c88e4ae1108347495693a4eefc07cc59651f88491d1575e56842"),
        (
            "cnn_fc",
            STORED | PLAIN,
            "25eb698881bb01b0abcea646bb2144d1771684efd13a5360d21625c115283d58",
        ),
    ],
)
def test_stored_parameters_rebuild_the_proposal_that_was_stored(name, params, digest):
    assert load_space(name).of_version(1).suggest(FixedTrial(params), DIGITS).digest == digest


@pytest.mark.parametrize(
    ("name", "data", "digest"),
    [
        ("cnn_fc", DIGITS, "34440711fce9211e4e2357a2fc72b6f4250783d9e48e30e040ee936974f27439"),
        ("cnn_fc", CIFAR10, "570d580e1c40104657798a7310d398426038dd3671799abb86890dd7f85d5846"),
        ("mlp", DIGITS, "c71826179f04866da8d315a4a67bae389f7be5b81d473d2c12c3a5fd4c27a3a2"),
        ("mlp", CIFAR10, "e676c398c92d0b3db152aade3badc591e3a63d73fb6ad9148ca854a4bdcf1a19"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_parameters_and_their_ranges_are_those_of_version_1(name, data, digest):
    space = load_space(name).of_version(1)
    assert space.version == 1
    ranges = [(each.name, distribution_to_json(each.distribution)) for each in parameters(space, data)]
    assert hashlib.sha256(repr(ranges).encode()).hexdigest() == digest
