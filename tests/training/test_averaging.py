"""The moving average of weights against its formula and torch's own."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nas.training.averaging import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def change(model: nn.Module) -> None:
    """As a step would, the statistics of batch norm included."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model(torch.randn(8, 3))


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_every_weight_and_statistic_is_averaged_by_the_formula(decay: float) -> None:
    model = network()
    average = WeightAverage(copy.deepcopy(model), decay)
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for step in range(1, 13):
        change(model)
        average.update(model, step)
        keep = min(decay, (1 + step) / (10 + step))
        expected = {
            name: keep * expected[name] + (1 - keep) * tensor.double()
            for name, tensor in model.state_dict().items()
        }
    averaged = average.model.state_dict()
    assert averaged.pop("1.num_batches_tracked") == 12
    for name, tensor in averaged.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_after_the_first_steps_it_is_the_average_of_torch() -> None:
    model = network()
    ours = WeightAverage(copy.deepcopy(model), 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.update_parameters(model)  # its first update copies
    for step in range(100, 110):  # from step 81 on, the decay has its value
        change(model)
        ours.update(model, step)
        theirs.update_parameters(model)
    for mine, other in zip(ours.model.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    torch.testing.assert_close(ours.model[1].running_mean, theirs.module[1].running_mean)


def test_the_average_wants_no_gradients_and_the_network_still_does() -> None:
    model = network()
    average = WeightAverage(copy.deepcopy(model), 0.9)
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
