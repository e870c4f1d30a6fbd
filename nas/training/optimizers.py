"""Optimizers by name, in their fastest form."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer

from nas.space import Training
from nas.training.muon import WeightMuon


def make_optimizers(
    model: nn.Module, training: Training, precision: Literal["fp32", "bf16"] = "fp32"
) -> list[Optimizer]:
    """What steps together in a proposal: one optimizer, or Muon and the AdamW of its other parameters.

    Biases and normalisation parameters, all of one dimension, do not decay. Fused implementations take a
    third to a half of the time on a CPU too; NAdam has none and takes foreach, Muon has neither.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay, momentum = training.learning_rate, training.weight_decay, training.momentum
    match training.optimizer:
        case "sgd":
            nesterov = momentum > 0
            groups = _groups(parameters)
            return [SGD(groups, rate, momentum, weight_decay=decay, nesterov=nesterov, fused=True)]
        case "adam":
            return [Adam(_groups(parameters), rate, weight_decay=decay, fused=True)]
        case "adamw":
            return [AdamW(_groups(parameters), rate, weight_decay=decay, fused=True)]
        case "nadam":
            return [NAdam(_groups(parameters), rate, weight_decay=decay, foreach=True)]
        case "muon":
            hidden = [parameter for parameter in parameters if parameter.ndim > 1][1:-1]
            others = [parameter for parameter in parameters if all(parameter is not each for each in hidden)]
            adamw = AdamW(_groups(others), rate, weight_decay=decay, fused=True)
            return [WeightMuon(hidden, rate, decay, momentum, precision), adamw] if hidden else [adamw]


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1]},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Of the next step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def state_tensors(optimizers: Iterable[Optimizer]) -> Iterator[Tensor]:
    """All tensors that they keep from step to step."""
    for optimizer in optimizers:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))


def load_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Of an optimizer that `make_optimizers` made alike, on any device."""
    optimizer.load_state_dict(state)
    if isinstance(optimizer, NAdam):  # keeps its scalars on the CPU, but does not bring them back there
        for values in optimizer.state.values():
            values |= {name: values[name].cpu() for name in ("step", "mu_product")}
