"""Each optimizer, step by step, against the torch class that it names."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, Muon, NAdam

from nas.space import Optimizer, Training
from nas.training.muon import WeightMuon
from nas.training.optimizers import make_optimizers, set_learning_rate

RATE, DECAY, STEPS = 0.01, 0.1, 6

Groups = list[dict[str, Any]]

TORCH: dict[str, Callable[[Groups], torch.optim.Optimizer]] = {
    "sgd": lambda groups: SGD(groups, RATE, 0.8, weight_decay=DECAY, nesterov=True),
    "adam": lambda groups: Adam(groups, RATE, weight_decay=DECAY),
    "adamw": lambda groups: AdamW(groups, RATE, weight_decay=DECAY),
    "nadam": lambda groups: NAdam(groups, RATE, weight_decay=DECAY),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, bias=False),
        nn.Flatten(),
        nn.Linear(64, 7),
        nn.Tanh(),
        nn.Linear(7, 3),
    )


HIDDEN = ("3.weight", "5.weight")
"""What Muon trains of it: neither the first nor the last layer, no bias, no norm."""


def settings(optimizer: Optimizer, **options: Any) -> Training:
    return Training(
        batch_size=8, optimizer=optimizer, learning_rate=RATE, weight_decay=DECAY, momentum=0.8, **options
    )


def toy() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(STEPS, 8, 2, 8, 8, generator=generator)
    return images, torch.randint(3, (STEPS, 8), generator=generator)


def train(model: nn.Module, step: Callable[[], None]) -> None:
    for images, labels in zip(*toy(), strict=True):
        model.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        step()


def train_ours(model: nn.Module, training: Training) -> None:
    optimizers = make_optimizers(model, training)

    def step() -> None:
        for optimizer in optimizers:
            optimizer.step()

    train(model, step)


def decayed(parameters: list[nn.Parameter]) -> Groups:
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1]},
        {"params": [parameter for parameter in parameters if parameter.ndim == 1], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("optimizer", TORCH)
def test_an_optimizer_is_the_torch_class_that_it_names(optimizer: Optimizer) -> None:
    ours, theirs = network(), network()
    reference = TORCH[optimizer](decayed(list(theirs.parameters())))
    train_ours(ours, settings(optimizer))
    train(theirs, reference.step)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_an_optimizer_steps_all_weights_at_once(optimizer: Optimizer) -> None:
    *_, stepping = make_optimizers(network(), settings(optimizer))  # of Muon, the AdamW beside it
    form = "foreach" if optimizer == "nadam" else "fused"
    assert all(group[form] for group in stepping.param_groups)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_muon_trains_hidden_weights_as_matrices_and_adamw_the_others(layout: torch.memory_format) -> None:
    ours, theirs = network().to(memory_format=layout), network()  # type: ignore[call-overload]
    named = dict(theirs.named_parameters())
    matrices = [nn.Parameter(named[name].detach().flatten(1)) for name in HIDDEN]
    muon = Muon(matrices, RATE, DECAY, momentum=0.8, adjust_lr_fn="match_rms_adamw")
    rest = [parameter for name, parameter in named.items() if name not in HIDDEN]
    adamw = AdamW(decayed(rest), RATE, weight_decay=DECAY)

    def step() -> None:
        for name, matrix in zip(HIDDEN, matrices, strict=True):
            gradient = named[name].grad
            assert gradient is not None
            matrix.grad = gradient.flatten(1)
        muon.step()
        adamw.step()
        with torch.no_grad():
            for name, matrix in zip(HIDDEN, matrices, strict=True):
                named[name].copy_(matrix.view_as(named[name]))

    train_ours(ours, settings("muon"))
    train(theirs, step)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0.02, atol=2e-3)  # Muon multiplies in bf16


@pytest.mark.parametrize("name", HIDDEN)
def test_an_update_of_muon_is_nearly_orthogonal_and_as_large_as_one_of_adamw(name: str) -> None:
    model = network()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizers = make_optimizers(model, settings("muon"))
    images, labels = toy()
    functional.cross_entropy(model(images[0]), labels[0]).backward()
    for optimizer in optimizers:
        optimizer.step()
    weight = dict(model.named_parameters())[name].detach()
    update = ((1 - RATE * DECAY) * before[name] - weight).flatten(1) / RATE
    singular = torch.linalg.svdvals(update)
    assert singular.max() < 4 * singular.min()
    # Liu et al.: 0.2 is the usual root mean square of AdamW's updates
    assert update.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.5)


def test_a_network_without_hidden_weights_leaves_muon_to_adamw() -> None:
    (optimizer,) = make_optimizers(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), settings("muon"))
    assert isinstance(optimizer, AdamW)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_a_learning_rate_of_zero_changes_nothing(optimizer: Optimizer) -> None:
    model = network()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizers = make_optimizers(model, settings(optimizer))
    set_learning_rate(optimizers, 0.0)

    def step() -> None:
        for each in optimizers:
            each.step()

    train(model, step)
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_frozen_and_unused_parameters_stay(optimizer: Optimizer) -> None:
    class Network(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(*network())
            self.unused = nn.Linear(4, 4)

        def forward(self, images: Tensor) -> Tensor:
            for layer in list(self)[:-1]:
                images = layer(images)
            return images

    model = Network()
    model[3].requires_grad_(False)
    still = {name: p.detach().clone() for name, p in model.named_parameters() if name[0] in "3u"}
    train_ours(model, settings(optimizer))
    assert all(torch.equal(model.get_parameter(name), before) for name, before in still.items())
    assert len(still) == 3


@pytest.mark.parametrize("shape", [(7, 16), (16, 7)])
def test_in_bf16_muon_is_that_of_torch_bit_for_bit_and_in_fp32_as_far_as_rounding_goes(shape) -> None:
    weights = [nn.Parameter(torch.linspace(-1, 1, 112).view(shape)) for _ in range(3)]
    options = {"momentum": 0.9, "nesterov": True, "adjust_lr_fn": "match_rms_adamw"}
    torchs = Muon(weights[:1], RATE, DECAY, **options)
    low = WeightMuon(weights[1:2], RATE, DECAY, 0.9, "bf16")
    high = WeightMuon(weights[2:], RATE, DECAY, 0.9, "fp32")
    for step in range(3):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        for weight in weights:
            weight.grad = gradient.clone()
        for optimizer in (torchs, low, high):
            optimizer.step()
    assert torch.equal(weights[0], weights[1])
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=0.02)
