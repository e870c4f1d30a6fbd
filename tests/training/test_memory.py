"""What training allocates is what the rehearsal of a step predicts, whatever the options."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.space import AUGMENTATIONS, Optimizer, Training
from nas.training.images import Images
from nas.training.loop import Trainer
from tests.grids import each_once
from tests.memory.measure import blank_images

SHAPE = (3, 32, 32)
PLAIN = Training(batch_size=64, optimizer="adamw", learning_rate=0.01)

CHANGES: list[dict[str, Any]] = [
    *({"optimizer": optimizer} for optimizer in get_args(Optimizer)),
    *({"augmentation": (name,)} for name in AUGMENTATIONS),
    {"mixup": 0.2},
    {"class_weights": "balanced"},
    {"class_weights": "balanced", "mixup": 0.2, "label_smoothing": 0.1},
    {"clip_norm": 1.0},
    {"ema_decay": 0.9},
    {"optimizer": "muon", "augmentation": ("rotation", "noise"), "mixup": 0.2, "ema_decay": 0.9},
]

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutional": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    ),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)),
}


@pytest.fixture(scope="module")
def images() -> Images:
    return blank_images(SHAPE, 2 * PLAIN.batch_size)


@each_once(build=NETWORKS, change=CHANGES, accumulation=[1, 4])
def test_the_counted_step_is_the_predicted_one(
    images: Images, build: Callable[[], nn.Module], change: dict[str, Any], accumulation: int
) -> None:
    training = replace(PLAIN, **change)
    torch.manual_seed(0)
    trainer = Trainer(
        build(), images, training, epochs=1, precision="fp32", seed=0, accumulation=accumulation
    )
    (epoch,) = trainer.run()
    program = trace_training(build(), SHAPE, training, accumulate=accumulation > 1, classes=10)
    sizes = BatchSizes(training.batch_size // accumulation, accumulation, evaluation=1)
    assert epoch.peak_allocated == pytest.approx(program.peak(sizes).allocated, rel=0.006)
