"""Training that is interrupted and continued is the training that was not."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn

from nas.datasets import open_data
from nas.space import Optimizer, Schedule, Training
from nas.training.epoch import Epoch
from nas.training.images import Images
from nas.training.loop import Trainer
from tests.grids import first_of

EPOCHS = 4
STOPPED_AT = 7
"""The third step of the second epoch; with one step an epoch, `ONLY_STEP` of them are done."""
ONLY_STEP = 3
SGD = Training(batch_size=256, optimizer="sgd", learning_rate=0.05, weight_decay=1e-3)

CHANGES: list[dict[str, Any]] = [
    *({"optimizer": optimizer, "learning_rate": 0.01} for optimizer in get_args(Optimizer)),
    *({"schedule": schedule} for schedule in get_args(Schedule)),
    {"momentum": 0.0},
    {"warmup": 0.4},
    {"augmentation": ("shift", "flip", "cutout")},
    {"augmentation": ("alternating_flip", "rotation", "brightness", "contrast", "noise")},
    {"mixup": 0.4},
    {"class_weights": "balanced"},
    {"clip_norm": 0.1},
    {"ema_decay": 0.9},
    {"batch_size": 10**6},
]


MIXED = CHANGES[::3] + CHANGES[1::3] + CHANGES[2::3]
"""The first six are of every kind."""


@pytest.fixture(scope="module")
def images() -> Images:
    return Images.load(open_data("digits"), torch.device("cpu"))


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, stride=2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )


def trainer(images: Images, training: Training, *, seed: int = 0, **options: Any) -> Trainer:
    """`seed`: of the network's first weights."""
    settings: dict[str, Any] = {"epochs": EPOCHS, "precision": "fp32", "seed": 3} | options
    return Trainer(network(seed), images, training, **settings)


def told(epoch: Epoch) -> tuple[Any, ...]:
    """What must repeat: all but times and memory."""
    return epoch.number, epoch.train_loss, epoch.val_loss, epoch.val_accuracy, epoch.learning_rate


def weights(model: nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def saved(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def loaded(state: bytes) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(io.BytesIO(state), weights_only=True)
    return content


@pytest.mark.parametrize("change", first_of(6, MIXED), ids=str)
def test_an_interruption_after_any_epoch_changes_no_bit(images: Images, change: dict[str, Any]) -> None:
    training = replace(SGD, **change)
    whole = trainer(images, training)
    epochs, states = [], []
    for epoch in whole.run():
        epochs.append(told(epoch))
        states.append(saved(whole.state_dict()))
    for finished, state in enumerate(states, start=1):
        torch.rand(finished)  # a fresh process has other random numbers
        rest = trainer(images, training, seed=1)
        rest.load_state_dict(loaded(state))
        assert [told(epoch) for epoch in rest.run()] == epochs[finished:]
        assert weights(rest.evaluated) == weights(whole.evaluated)
        assert saved(rest.state_dict()) == states[-1]


@pytest.mark.parametrize("change", first_of(6, MIXED[::-1]), ids=str)
def test_a_stop_in_the_midst_of_an_epoch_changes_no_bit(images: Images, change: dict[str, Any]) -> None:
    training = replace(SGD, **change)
    whole, stopped, rest = (
        trainer(images, training),
        trainer(images, training),
        trainer(images, training, seed=1),
    )
    asked, stop_at = 0, ONLY_STEP if "batch_size" in change else STOPPED_AT

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_at

    before = [told(epoch) for epoch in stopped.run(should_stop)]
    state = saved(stopped.state_dict())
    torch.rand(5)  # a fresh process has other random numbers
    rest.load_state_dict(loaded(state))
    after = [told(epoch) for epoch in rest.run()]
    assert before + after == [told(epoch) for epoch in whole.run()]
    assert before
    assert after
    assert weights(rest.evaluated) == weights(whole.evaluated)


def test_how_far_an_epoch_is_is_known_before_every_step_and_after_a_stop(images: Images) -> None:
    halted, seen = trainer(images, SGD), []

    def should_stop() -> bool:
        seen.append(halted.seen)
        return len(seen) == STOPPED_AT

    batch = SGD.batch_size
    steps = len(images.train) // batch
    list(halted.run(should_stop))
    expected = [(step // steps, batch * (step % steps), batch * steps) for step in range(STOPPED_AT)]
    assert seen == expected
    next(halted.run(lambda: bool(seen.append(halted.seen))))
    assert seen[STOPPED_AT] == expected[-1]


def test_training_goes_on_where_it_was_left_in_the_same_process(images: Images) -> None:
    whole, halted = trainer(images, SGD), trainer(images, SGD)
    asked = iter([False] * (STOPPED_AT - 1) + [True] + [False] * 1000)
    epochs = [*halted.run(lambda: next(asked))]
    epochs += halted.run()
    assert [told(epoch) for epoch in epochs] == [told(epoch) for epoch in whole.run()]


def test_the_accumulation_may_change(images: Images) -> None:
    training = replace(SGD, batch_size=128)
    whole, parts = trainer(images, training), trainer(images, training, accumulation=2)
    epochs = whole.run()
    next(epochs)
    parts.load_state_dict(loaded(saved(whole.state_dict())))
    ours, theirs = next(parts.run()), next(epochs)
    assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.05)  # batch norm sees other batches
    assert ours.number == theirs.number == 2


def test_a_finished_training_has_no_epoch_left(images: Images) -> None:
    whole, again = trainer(images, SGD), trainer(images, SGD)
    assert len(list(whole.run())) == EPOCHS
    again.load_state_dict(loaded(saved(whole.state_dict())))
    assert list(again.run()) == []


FRESH = """
import json, sys
import torch
from tests.training.test_resuming import SGD, Images, open_data, told, trainer
torch.set_num_threads(int(sys.argv[2]))
rest = trainer(Images.load(open_data("digits"), torch.device("cpu")), SGD, seed=1)
rest.load_state_dict(torch.load(sys.argv[1], weights_only=True))
print(json.dumps([told(epoch) for epoch in rest.run()]))
"""


@pytest.mark.slow
def test_a_fresh_process_goes_on_bit_for_bit(images: Images, tmp_path: Path) -> None:
    whole = trainer(images, SGD)
    epochs = whole.run()
    next(epochs)
    torch.save(whole.state_dict(), tmp_path / "state")
    command = [sys.executable, "-c", FRESH, str(tmp_path / "state"), str(torch.get_num_threads())]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(fresh.stdout) == [list(told(epoch)) for epoch in epochs]


@pytest.mark.parametrize("batch_size", [64, 10**6])
def test_every_epoch_tells_the_peaks_of_memory(images: Images, batch_size: int) -> None:
    epochs = list(trainer(images, replace(SGD, batch_size=batch_size)).run())
    assert len({epoch.peak_allocated for epoch in epochs}) == 1
    for epoch in epochs:
        assert epoch.peak_allocated is not None
        assert epoch.peak_resident is not None
        assert 2**14 < epoch.peak_allocated < epoch.peak_resident
        assert epoch.peak_reserved is None
