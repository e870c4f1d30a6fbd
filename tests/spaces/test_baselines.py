"""Duplicates networks: what they are, and that nothing is left to sample."""

from dataclasses import replace

import pytest
import torch
from optuna.trial import FixedTrial

from nas.errors import BrokenFile, InvalidSetting, UnknownName
from nas.space import DataInfo
from nas.space.load import known_baselines, known_spaces, load_baseline, load_space
from nas.space.parameters import check_baseline
from tests.conftest import DIGITS

MNIST = replace(DIGITS, name="mnist", shape=(1, 28, 28))
CIFAR10 = replace(DIGITS, name="cifar10", shape=(3, 32, 32))


def parameters_of(name: str, data: DataInfo) -> int:
    space = load_baseline(name)
    with torch.device("meta"):
        model = space.build(space.suggest(FixedTrial({}), data), data)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "data", "parameters"),
    [
        ("lenet5", MNIST, 61_706),  # the count found in textbooks
        ("lenet5", CIFAR10, 62_006),  # that of PyTorch's tutorial "Training a classifier"
        ("resnet8", CIFAR10, 78_042),
        (
            "resnet20",
            CIFAR10,
            272_474,
        ),  # 0.27M in the paper, where shortcuts have no weights: 269,722 and 2,752
        ("mlp_512", MNIST, 784 * 512 + 512 + 512 * 512 + 512 + 5130),
        ("mlp_pyramid", MNIST, 784 * 512 + 512 + 512 * 128 + 128 + 1290),
        ("cnn_400", MNIST, 320 + 18_496 + 64 * 49 * 400 + 400 + 4010),
        ("cnn_bottleneck", MNIST, 320 + 18_496 + 650 + 490 * 200 + 200 + 2010),
        ("cnn_strided", MNIST, 80 + 1_752 + 6_944 + 13_872 + 768 * 200 + 200 + 2010),
    ],
)
def test_a_baseline_has_the_parameters_of_its_network(name, data, parameters):
    assert parameters_of(name, data) == parameters


def test_every_baseline_is_among_those_counted_here_and_is_no_search_space():
    assert known_baselines() == sorted(
        {
            *("cnn_400", "cnn_bottleneck", "cnn_strided", "lenet5"),
            *("mlp_512", "mlp_pyramid", "resnet20", "resnet8"),
        }
    )
    assert not set(known_baselines()) & set(known_spaces())


@pytest.mark.parametrize("name", known_baselines())
def test_nothing_is_left_to_sample(name):
    check_baseline(load_baseline(name), MNIST)
    assert load_baseline(name).summary


@pytest.mark.parametrize("name", known_spaces())
def test_a_space_that_samples_is_refused_as_a_baseline(name):
    with pytest.raises(InvalidSetting, match=rf"^{name} is no baseline: it leaves \w+, \w+, \w+ and others"):
        check_baseline(load_baseline(name), MNIST)


def test_a_file_is_a_baseline_if_it_samples_nothing(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from search_spaces.baselines.lenet5 import suggest\n")
    baseline = load_baseline(str(file))
    assert (baseline.name, baseline.source) == ("mine", str(file))
    check_baseline(baseline, MNIST)
    with pytest.raises(BrokenFile, match="at least 12x12 pixels, not 8x8"):
        check_baseline(baseline, DIGITS)


def test_an_unknown_baseline_offers_the_nearest_name():
    with pytest.raises(
        UnknownName, match=r"No baseline named 'resnet18'. Did you mean 'resnet8'\? Known: cnn"
    ):
        load_baseline("resnet18")


def test_a_baseline_is_found_by_workers_and_inspection_as_a_search_space_is():
    for name in known_baselines():
        assert load_space(load_baseline(name).source).module is load_baseline(name).module


@pytest.mark.parametrize(("name", "side"), [("lenet5", 12), ("cnn_strided", 13)])
def test_the_smallest_images_of_a_baseline(name, side):
    assert parameters_of(name, replace(DIGITS, shape=(1, side, side))) > 0
    with pytest.raises(
        InvalidSetting, match=f"{name} needs images of at least {side}x{side} pixels, not 11x30"
    ):
        parameters_of(name, replace(DIGITS, shape=(1, 11, 30)))
