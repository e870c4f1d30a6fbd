from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from nas.memory.activation_checkpoints import checkpointed
from nas.memory.prediction import Device
from nas.memory.program import BatchSizes, Untraceable
from nas.memory.trace import Precision, trace_training
from nas.space import Optimizer, Training
from tests.grids import each_once, first_of
from tests.memory.measure import measured_training
from tests.memory.networks import CLASSES, NETWORKS, SHAPE, Residual, deep, normalised, plain, settings

Build = Callable[[], nn.Module]

networks = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)

LOOSE = 800
"""Bytes an image that the prediction leaves out: the random numbers of an epoch."""


def check_prediction(
    build: Build,
    training: Training,
    *,
    accumulation: int = 1,
    precision: Precision = "fp32",
    checkpointing: bool = False,
) -> None:
    """Against the training loop itself."""
    model = checkpointed(build()) if checkpointing else build()
    measured = measured_training(model, SHAPE, training, accumulation=accumulation, precision=precision)
    program = trace_training(
        build(),
        SHAPE,
        training,
        precision=precision,
        accumulate=accumulation > 1,
        checkpointing=checkpointing,
    )
    predicted = program.peak(BatchSizes(training.batch_size // accumulation, accumulation, evaluation=1))
    assert predicted.allocated == pytest.approx(measured.tensors, rel=0.002, abs=LOOSE * training.batch_size)


@pytest.mark.parametrize(
    ("build", "optimizer", "batch_size", "accumulation", "precision"),
    first_of(
        2,
        [
            (Residual, "adamw", 96, 4, "fp32"),
            (normalised, "adam", 13, 1, "bf16"),
            (normalised, "nadam", 64, 2, "fp32"),
            (plain, "sgd", 64, 1, "fp32"),
            (plain, "muon", 128, 8, "bf16"),
        ],
    ),
)
def test_each_setting_is_predicted_beside_others(
    build: Build, optimizer: Optimizer, batch_size: int, accumulation: int, precision: Precision
) -> None:
    check_prediction(build, settings(batch_size, optimizer), accumulation=accumulation, precision=precision)


@pytest.mark.slow
@each_once(build=NETWORKS, optimizer=get_args(Optimizer))
def test_the_predicted_peak_is_that_of_the_training_loop(build: Build, optimizer: Optimizer) -> None:
    check_prediction(build, settings(64, optimizer))


@pytest.mark.slow
@each_once(build=NETWORKS, batch_size=[13, 256], precision=["fp32", "bf16"])
def test_a_program_holds_for_every_batch_size(build: Build, batch_size: int, precision: Precision) -> None:
    check_prediction(build, settings(batch_size), precision=precision)


@pytest.mark.slow
@each_once(build=NETWORKS, accumulation=[4, 8, 2])
def test_accumulation_is_predicted(build: Build, accumulation: int) -> None:
    check_prediction(build, settings(128), accumulation=accumulation)


@pytest.mark.parametrize("build", first_of(1, NETWORKS.values()), ids=NETWORKS)
def test_checkpoints_are_predicted(build: Build) -> None:
    check_prediction(build, settings(256), checkpointing=True)


def test_channels_last_weights_take_their_gradients_without_a_copy() -> None:
    check_prediction(partial(deep, width=256, depth=2), settings(4))


def test_augmentation_is_predicted() -> None:
    check_prediction(plain, replace(settings(256), augmentation=("shift", "flip")))


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 1), ("adam", 2), ("adamw", 2), ("nadam", 2)])
def test_every_part_has_its_bytes(optimizer: Optimizer, copies: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 1000), nn.BatchNorm1d(1000), nn.Linear(1000, CLASSES))
    weights = sum(4 * parameter.numel() for parameter in model.parameters())
    memory = trace_training(model, SHAPE, settings(32, optimizer)).peak(BatchSizes(32))
    assert memory.parameters == weights
    assert memory.buffers == 2 * 4 * 1000 + 8
    assert memory.optimizer_state == pytest.approx(copies * weights, abs=100)
    assert (
        0.9 * weights < memory.gradients <= weights
    )  # the peak lies in the backward of the first layer, or later
    assert memory.batch == 32 * (768 + 8)
    assert memory.allocated == sum(memory.parts.values())


def test_the_copy_that_nadam_makes_is_temporary() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 1000), nn.Linear(1000, CLASSES))
    weights = sum(4 * parameter.numel() for parameter in model.parameters() if parameter.ndim > 1)
    assert trace_training(model, SHAPE, settings(1, "nadam")).peak(BatchSizes(1)).temporaries >= weights
    assert trace_training(model, SHAPE, settings(1, "adam")).peak(BatchSizes(1)).temporaries < weights / 100


def kept_for_the_backward(model: nn.Module, precision: Precision = "fp32") -> int:
    """Bytes of activations when the backward begins with its first gradient, for 1000 images."""
    kernels: Device | None = "cuda" if precision == "bf16" else None
    program = trace_training(model, SHAPE, settings(1), precision=precision, kernels=kernels)
    sizes: list[int] = program.sizes(BatchSizes(1000)).tolist()
    live: set[int] = set()
    for event in program.trace.step:
        if event < 0:
            live.discard(~event)
        elif program.trace.roles[event] == "activations":
            live.add(event)
        elif program.trace.roles[event] == "temporaries":
            break
    return sum(sizes[block] for block in live)


def test_activations_are_what_the_backward_needs() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 256, CLASSES)
    )
    maps = 4 * 8 * 256 * 1000
    # the sigmoid's output and, as it is channels last, its flat copy; the last layer's weigh little
    assert kept_for_the_backward(model) == pytest.approx(2 * maps, rel=0.01)


@pytest.mark.parametrize(
    ("layer", "own", "output"),
    [(nn.Identity(), 0, 2), (nn.BatchNorm2d(32), 2, 2), (nn.GroupNorm(4, 32), 4, 4), (nn.Softmax(1), 4, 4)],
    ids=lambda value: type(value).__name__,
)
def test_bf16_follows_the_autocast_of_cuda(layer: nn.Module, own: int, output: int) -> None:
    """`own` bytes a number are kept for `layer` itself, and `output` for the sigmoid after it."""
    model = nn.Sequential(
        nn.Conv2d(3, 32, 1),
        layer,
        nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, CLASSES),
    )
    images, maps = 2 * 3 * 256 * 1000, 32 * 256 * 1000
    assert kept_for_the_backward(model, "bf16") == pytest.approx(images + (own + output) * maps, rel=0.02)


def test_the_network_is_neither_run_nor_changed() -> None:
    model = normalised().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace_training(model, SHAPE, settings(8), checkpointing=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert type(model) is nn.Sequential


def test_a_network_on_the_meta_device_is_predicted_like_a_real_one() -> None:
    with torch.device("meta"):
        abstract = normalised()
    expected = trace_training(normalised(), SHAPE, settings(8)).peak(BatchSizes(32))
    assert trace_training(abstract, SHAPE, settings(8)).peak(BatchSizes(32)) == expected


def test_shared_weights_count_once() -> None:
    layer = nn.Linear(768, 768, bias=False)
    model = nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer)
    memory = trace_training(model, SHAPE, settings(8)).peak(BatchSizes(8))
    assert memory.parameters == memory.optimizer_state == 4 * 768 * 768


def test_frozen_weights_have_neither_gradients_nor_state() -> None:
    model = plain()
    for parameter in model[:-1].parameters():
        parameter.requires_grad = False
    memory = trace_training(model, SHAPE, settings(8)).peak(BatchSizes(8))
    assert memory.optimizer_state == 4 * (64 * CLASSES + CLASSES)
    assert memory.gradients <= memory.optimizer_state


def test_evaluation_can_be_the_peak() -> None:
    program = trace_training(plain(), SHAPE, settings(8))
    memory = program.peak(BatchSizes(8, evaluation=10_000))
    assert memory.allocated > program.peak(BatchSizes(8)).allocated
    assert memory.activations == memory.gradients == 0
    assert memory.optimizer_state > 0


class ReadsValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(768, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1) * (2.0 if images.sum().item() > 0 else 1.0))  # type: ignore[no-any-return]


class Constant(nn.Module):
    """Holds a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(768, CLASSES)
        self.scale = torch.ones(CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1)) * self.scale  # type: ignore[no-any-return]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_tensor_that_is_a_plain_attribute_is_followed_wherever_it_lies(device: str) -> None:
    with torch.device(device):
        model = Constant()
    memory = trace_training(model, SHAPE, settings(8)).peak(BatchSizes(8))
    assert memory.parameters == 4 * (768 + 1) * CLASSES
    assert model.scale.device.type == device


class CountsImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(768, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self.head(image.flatten()) for image in images.unbind()])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ReadsValues(), "values of tensors"),
        (CountsImages(), "another batch size"),
        (nn.Sequential(nn.Flatten(), nn.Linear(7, CLASSES)), r"without bytes ends in RuntimeError: .*\b7\b"),
    ],
    ids=["reads values", "counts images", "fails"],
)
def test_a_network_without_fixed_structure_is_refused(model: nn.Module, reason: str) -> None:
    with pytest.raises(Untraceable, match=reason):
        trace_training(model, SHAPE, settings(8))
