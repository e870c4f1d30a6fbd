"""What training does is counted as it is traced."""

import pytest
import torch
from torch import nn

from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.seconds.pace import BATCH, SHAPE, pace_network
from nas.seconds.rates import PACE
from nas.seconds.work import KINDS, StepWork
from nas.space import Training

SGD = Training(batch_size=16, optimizer="sgd", learning_rate=0.1)


def work(model: nn.Module, images: int = 16, training: Training = SGD, **options: object) -> StepWork:
    program = trace_training(model, (3, 8, 8), training, **options)  # type: ignore[arg-type]
    return program.work(BatchSizes(images, evaluation=images))


def conv(channels: int, filters: int, kernel: int, groups: int = 1) -> nn.Module:
    return nn.Conv2d(channels, filters, kernel, padding="same", groups=groups, bias=False)


@pytest.mark.parametrize(
    ("kind", "layer", "channels", "multiply_adds"),
    [
        ("convolution", conv(8, 16, 3), 8, 64 * 8 * 16 * 9),
        ("pointwise", conv(8, 16, 1), 8, 64 * 8 * 16),
        ("stem", conv(3, 16, 3), 3, 64 * 3 * 16 * 9),
        ("depthwise", conv(8, 8, 3, groups=8), 8, 64 * 8 * 9),
    ],
)
def test_a_convolution_is_work_of_its_kind_twice_as_much_backward(kind, layer, channels, multiply_adds):
    layers = [conv(3, channels, 5)] if channels != 3 else []
    model = nn.Sequential(*layers, layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    done = work(model)
    first = 0 if channels == 3 else 3 * multiply_adds  # of the first layer's images there is no gradient
    assert done.micro_batch[kind] == 16 * (first or 2 * multiply_adds)
    assert done.evaluation[kind] == 16 * multiply_adds


def test_products_of_matrices_are_counted_and_the_optimizer_works_once_a_step():
    sizes = ((192, 50), (50, 50), (50, 10))
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(*size, bias=False) for size in sizes))
    done = work(model)
    assert done.micro_batch["matrix"] == 16 * (2 * 192 * 50 + 3 * 50 * 50 + 3 * 50 * 10)
    assert "matrix" not in done.step
    assert work(model, 32).step == done.step
    muon = Training(batch_size=16, optimizer="muon", learning_rate=0.1)
    assert work(model, training=muon).step["matrix"] == 5 * 3 * 50**3
    assert "matrix" not in work(model, training=muon, precision="bf16").step


def test_work_is_affine_in_the_images_and_bf16_is_told_apart():
    model = nn.Sequential(conv(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
    few, many, most = (work(model, images).micro_batch for images in (10, 20, 30))
    for kind in few:
        assert most[kind] - many[kind] == pytest.approx(many[kind] - few[kind])
    low = work(model, precision="bf16").micro_batch
    assert low["stem bf16"] == work(model).micro_batch["stem"]
    assert set(low) <= set(KINDS)


def test_an_epoch_is_its_steps_their_micro_batches_and_its_evaluations():
    step = StepWork(micro_batch={"calls": 10}, step={"calls": 3, "bytes": 1}, evaluation={"calls": 1})
    assert step.epoch(steps=5, accumulation=2, evaluations=4) == {"calls": 119, "bytes": 5}


def test_the_step_that_tells_the_pace_does_what_is_written_down():
    training = Training(batch_size=BATCH, optimizer="sgd", learning_rate=0.1)
    program = trace_training(pace_network(), SHAPE, training)
    done = program.work(BatchSizes(BATCH)).epoch(steps=1, accumulation=1, evaluations=0)
    assert {kind: pytest.approx(amount, rel=0.02) for kind, amount in PACE.items()} == done


def test_counting_changes_no_prediction_of_memory():
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 8, 3), nn.Flatten(), nn.Linear(512, 10))
    program = trace_training(model, (3, 8, 8), SGD, images=16)
    assert program.work(BatchSizes(16)).micro_batch["stem"] == work(model).micro_batch["stem"]
