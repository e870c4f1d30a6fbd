"""What the search spaces share: training settings, pyramids and initialisation."""

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial
from torch import nn

from nas.space import AUGMENTATIONS, Optimizer, Schedule, Training
from search_spaces.shared.initialisation import initialise
from search_spaces.shared.pyramid import fully_connected, suggest_pyramid
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import standard_training, suggest_training, suggest_wide_training
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


WIDE = PARAMS | {"mixup": 0.0, "clip_norm": 0.0, "ema_decay": 0.0}
EXTRAS = {"rotation": False, "colour": False, "noise": False}
EVERYTHING = replace(DIGITS, augmentations=AUGMENTATIONS)


def test_wide_training_adds_nothing_but_what_is_chosen():
    assert suggest_wide_training(FixedTrial(WIDE), DIGITS) == suggest_training(FixedTrial(PARAMS), DIGITS)


@pytest.mark.parametrize(
    ("chosen", "augmentation"),
    [
        ({}, ()),
        ({"augmentation": "shift"}, ("shift",)),
        ({"augmentation": "shift+flip", "alternating_flip": False}, ("shift", "flip")),
        (
            {"augmentation": "shift+flip+cutout", "alternating_flip": True},
            ("shift", "alternating_flip", "cutout"),
        ),
        ({"rotation": True}, ("rotation",)),
        ({"colour": True}, ("brightness", "contrast")),
        (
            {"augmentation": "shift", "noise": True, "rotation": True, "colour": True},
            ("shift", "rotation", "brightness", "contrast", "noise"),
        ),
    ],
)
def test_further_augmentations_are_chosen_one_by_one(chosen, augmentation):
    training = suggest_wide_training(FixedTrial(WIDE | EXTRAS | chosen), EVERYTHING)
    assert training.augmentation == augmentation


def test_wide_training_reaches_everything_that_training_offers():
    sampled = [suggest_wide_training(trial, EVERYTHING) for trial in trials(200)]
    assert {training.optimizer for training in sampled} == set(get_args(Optimizer))
    assert {training.schedule for training in sampled} == set(get_args(Schedule))
    assert {name for training in sampled for name in training.augmentation} == set(AUGMENTATIONS)
    for field in ("mixup", "clip_norm", "ema_decay", "label_smoothing", "warmup"):
        assert len({getattr(training, field) for training in sampled}) > 1, field


def test_muon_takes_the_ranges_of_adamw():
    params = {name: value for name, value in WIDE.items() if "sgd" not in name} | {
        "optimizer": "muon",
        "learning_rate_adam": 0.002,
        "weight_decay_adamw": 0.05,
    }
    training = suggest_wide_training(FixedTrial(params), DIGITS)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("muon", 0.002, 0.05)


def test_baselines_are_trained_with_what_leaves_the_class_unchanged():
    assert standard_training(DIGITS).augmentation == ("shift",)
    assert standard_training(EVERYTHING).augmentation == ("shift", "flip")
    assert standard_training(replace(DIGITS, augmentations=())).augmentation == ()


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


def test_orthogonal_filters_are_orthogonal_with_the_gain_of_relu():
    conv = nn.Conv2d(8, 16, 3)
    initialise(conv, "orthogonal")
    rows = conv.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(16))


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (4, 2), (4, 10)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_dirac_filters_pass_their_inputs_on_and_the_others_are_random(inputs, outputs, kernel_size):
    conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    initialise(conv, "dirac")
    images = torch.randn(2, inputs, 6, 6)
    passed = min(inputs, outputs)
    torch.testing.assert_close(conv(images)[:, :passed], images[:, :passed])
    assert conv.weight[passed:].count_nonzero() == conv.weight[passed:].numel()


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_dirac_is_that_of_pytorch_in_every_group(groups):
    conv = nn.Conv2d(8, 8, 3, groups=groups)
    initialise(conv, "dirac")
    assert torch.equal(conv.weight, nn.init.dirac_(torch.empty_like(conv.weight), groups))


def test_dirac_leaves_fully_connected_layers_to_he():
    linear = nn.Linear(400, 600)
    initialise(linear, "dirac")
    assert linear.weight.var().item() == pytest.approx(2 / 400, rel=0.02)
