"""What the search spaces share: training settings, pyramids and initialisation."""

from dataclasses import replace
from itertools import pairwise

import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial
from torch import nn

from nas.space import Training
from search_spaces.parts.initialisation import initialise
from search_spaces.parts.pyramid import fully_connected, suggest_pyramid
from search_spaces.parts.tenths import suggest_tenths
from search_spaces.parts.training import suggest_training
from tests.conftest import DIGITS

PARAMS = {
    "log2_batch_size": 5,
    "optimizer": "sgd",
    "learning_rate_sgd": 0.1,
    "weight_decay_sgd": 1e-4,
    "schedule": "cosine",
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "augmentation": "none",
}


def trials(count):
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [study.ask() for _ in range(count)]


@pytest.mark.parametrize(
    ("num_train", "low", "high"),
    [(10, 5, 5), (256, 5, 5), (511, 5, 5), (512, 5, 6), (1257, 5, 7), (4096, 5, 9), (45_000, 5, 9)],
)
def test_an_epoch_has_at_least_eight_steps_where_the_smallest_batch_allows_it(num_train, low, high):
    (trial,) = trials(1)
    suggest_training(trial, replace(DIGITS, num_train=num_train))
    batch_size = trial.distributions["log2_batch_size"]
    assert (batch_size.low, batch_size.high) == (low, high)


@pytest.mark.parametrize(
    ("allowed", "choices"),
    [
        ((), ("none",)),
        (("shift", "cutout"), ("none", "shift", "shift+cutout")),
        (("cutout", "flip", "shift"), ("none", "shift", "shift+flip", "shift+flip+cutout")),
    ],
)
def test_augmentation_is_a_ladder_of_what_the_data_allows(allowed, choices):
    (trial,) = trials(1)
    suggest_training(trial, replace(DIGITS, augmentations=allowed))
    assert trial.distributions["augmentation"].choices == choices


def test_augmentations_are_applied_in_the_order_of_the_ladder():
    data = replace(DIGITS, augmentations=("flip", "shift"))
    training = suggest_training(FixedTrial(PARAMS | {"augmentation": "shift+flip"}), data)
    assert training.augmentation == ("shift", "flip")


@pytest.mark.parametrize(
    ("optimizer", "learning_rate", "weight_decay"),
    [
        ("sgd", "learning_rate_sgd", "weight_decay_sgd"),
        ("adam", "learning_rate_adam", "weight_decay_adam"),
        ("nadam", "learning_rate_adam", "weight_decay_adam"),
        ("adamw", "learning_rate_adam", "weight_decay_adamw"),
    ],
)
def test_each_family_of_optimizers_has_its_own_learning_rate_and_weight_decay(
    optimizer, learning_rate, weight_decay
):
    families = {}
    for trial in trials(40):
        training = suggest_training(trial, DIGITS)
        names = {name for name in trial.params if name.startswith(("learning_rate", "weight_decay"))}
        families[training.optimizer] = names
    assert families[optimizer] == {learning_rate, weight_decay}


def test_parameters_become_training_settings():
    assert suggest_training(FixedTrial(PARAMS), DIGITS) == Training(
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=1e-4,
        schedule="cosine",
        warmup=0.1,
        label_smoothing=0.1,
    )


def test_onecycle_brings_its_own_warmup():
    params = PARAMS | {"schedule": "onecycle"}
    del params["warmup"]  # FixedTrial refuses what is asked and not there
    assert suggest_training(FixedTrial(params), DIGITS).warmup == 0.0


def test_three_times_a_tenth_is_three_tenths():
    sampled = suggest_tenths(FixedTrial({"dropout": 3 * 0.1}), "dropout", 0.5)
    assert sampled == 0.3


@given(
    params=st.fixed_dictionaries(
        {
            "fc_layers": st.integers(1, 4),
            "log2_fc_units": st.integers(4, 10),
            **{f"fc_halving_{layer}": st.integers(0, 1) for layer in (2, 3, 4)},
        }
    )
)
@settings(derandomize=True, max_examples=50, deadline=None)
def test_a_pyramid_never_widens(params):
    units = suggest_pyramid(FixedTrial(params), max_layers=4, log2_units=(4, 10))
    assert len(units) == params["fc_layers"]
    assert all(after in (before, before // 2) for before, after in pairwise(units))
    assert min(units) >= 16


def test_fully_connected_layers_have_speaking_names():
    plain = fully_connected(20, (32, 16), 10, batch_norm=False, dropout=0.0)
    assert list(plain) == ["fc1", "fc1_relu", "fc2", "fc2_relu", "classifier"]
    regular = fully_connected(20, (32,), 10, batch_norm=True, dropout=0.2)
    assert list(regular) == ["fc1", "fc1_norm", "fc1_relu", "dropout1", "classifier"]
    assert regular["fc1"].bias is None  # the norm has one


@pytest.mark.parametrize(
    ("method", "variance"),
    [("he", 2 / 400), ("xavier", 2 / (400 + 600))],
)
def test_initialisation_has_the_variance_of_its_paper(method, variance):
    torch.manual_seed(0)
    linear = nn.Linear(400, 600)
    initialise(linear, method)
    assert linear.weight.var().item() == pytest.approx(variance, rel=0.02)
    assert not linear.bias.any()
