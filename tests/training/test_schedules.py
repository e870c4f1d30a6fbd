"""Each schedule, step by step, against the torch scheduler that it names."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import get_args

import pytest
import torch
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from nas.space import Schedule, Training
from nas.training.schedules import learning_rates

PEAK = 0.3

TORCH: dict[str, Callable[[SGD, int], LRScheduler]] = {
    "constant": lambda sgd, steps: lr_scheduler.ConstantLR(sgd, 1.0),
    "linear": lambda sgd, steps: lr_scheduler.LinearLR(sgd, 1.0, 0.0, steps),
    "step": lambda sgd, steps: lr_scheduler.MultiStepLR(sgd, [steps // 2, 3 * steps // 4], 0.1),
    "cosine": lambda sgd, steps: lr_scheduler.CosineAnnealingLR(sgd, steps),
    "restarts": lambda sgd, steps: lr_scheduler.CosineAnnealingWarmRestarts(sgd, math.ceil(steps / 3), 2),
    "onecycle": lambda sgd, steps: lr_scheduler.OneCycleLR(sgd, PEAK, steps, cycle_momentum=False),
}


def torch_rates(make: Callable[[SGD, int], LRScheduler], steps: int) -> list[float]:
    sgd = SGD([torch.zeros(1, requires_grad=True)], PEAK)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no gradient: there is nothing to step
        scheduler = make(sgd, steps)
        for _ in range(steps):
            rates.append(sgd.param_groups[0]["lr"])
            scheduler.step()
    return rates


def our_rates(steps: int, accuracies: Sequence[float] = (), **settings: object) -> list[float]:
    training = Training(batch_size=1, optimizer="sgd", learning_rate=PEAK, **settings)  # type: ignore[arg-type]
    rate = learning_rates(training, steps, accuracies)
    return [rate(step) for step in range(steps)]


@pytest.mark.parametrize("steps", [7, 30, 101])
@pytest.mark.parametrize("schedule", TORCH)
def test_a_schedule_is_that_of_the_torch_class_it_names(schedule, steps):
    assert our_rates(steps, schedule=schedule) == pytest.approx(torch_rates(TORCH[schedule], steps), rel=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step", "restarts"])
def test_a_warm_up_rises_linearly_and_the_schedule_follows(schedule):
    rates = our_rates(40, schedule=schedule, warmup=0.25)
    linear = torch_rates(lambda sgd, steps: lr_scheduler.LinearLR(sgd, 1 / 11, 1.0, 10), 10)
    assert rates[:10] == pytest.approx(linear)
    assert rates[10:] == pytest.approx(torch_rates(TORCH[schedule], 30))


def test_onecycle_has_a_warm_up_of_its_own():
    assert our_rates(40, schedule="onecycle", warmup=0.25) == our_rates(40, schedule="onecycle")


@pytest.mark.parametrize(
    "accuracies",
    [
        [0.1, 0.2, 0.3, 0.4],
        [0.1] * 9,
        [0.5, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.7, 0.1, 0.1, 0.8],
        [0.5, 0.50004, 0.50006, 0.50002, 0.6],
        [0.0, 0.0, 0.0, 0.0],
    ],
    ids=str,
)
def test_plateau_is_reduce_lr_on_plateau(accuracies):
    sgd = SGD([torch.zeros(1, requires_grad=True)], PEAK)
    scheduler = lr_scheduler.ReduceLROnPlateau(sgd, "max", factor=0.2, patience=1)
    for finished in range(len(accuracies) + 1):
        rates = our_rates(3, schedule="plateau", accuracies=accuracies[:finished])
        assert rates == pytest.approx([sgd.param_groups[0]["lr"]] * 3)
        if finished < len(accuracies):
            scheduler.step(accuracies[finished])


def test_only_plateau_looks_at_accuracies():
    for schedule in TORCH:
        assert our_rates(8, schedule=schedule, accuracies=[0.5] * 9) == our_rates(8, schedule=schedule)


@pytest.mark.parametrize("schedule", TORCH)
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_even_the_shortest_training_has_positive_rates_up_to_the_peak(schedule, steps, warmup):
    assert all(0 < rate <= PEAK * (1 + 1e-9) for rate in our_rates(steps, schedule=schedule, warmup=warmup))


def test_every_schedule_is_compared():
    assert {*TORCH, "plateau"} == set(get_args(Schedule))
