"""The training loop: against a naive one, against itself, and at its edges."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.datasets import ImageData
from nas.space import Training
from nas.training.epoch import Diverged
from nas.training.images import Images
from tests.grids import first_of
from tests.training.samples import SGD, WHOLE, Recorder, learned, network, run, trainer

CPU = torch.device("cpu")

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda groups, rate: torch.optim.SGD(groups, rate, 0.9, nesterov=True),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
}


class NaiveLoop:
    """One epoch as a user would write it: float images, channels first, plain torch.optim."""

    def __init__(self, data: ImageData, training: Training) -> None:
        self.training = training
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
        self.train, self.val = (
            (self.normalise(torch.tensor(split.images)), torch.tensor(split.labels))
            for split in (data.train, data.val)
        )

    def normalise(self, images: Tensor) -> Tensor:
        return (images.permute(0, 3, 1, 2).contiguous() / 255 - self.mean) / self.std

    def epoch(self, model: nn.Module, seed: int) -> tuple[float, float, float]:
        """(training loss, validation loss, validation accuracy)"""
        decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
        optimizer = OPTIMIZERS[self.training.optimizer](
            [
                {"params": decayed, "weight_decay": self.training.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            self.training.learning_rate,
        )
        images, labels = self.train
        losses = []
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        for step in range(len(labels) // self.training.batch_size):
            rows = order[step * self.training.batch_size :][: self.training.batch_size]
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                model(images[rows]), labels[rows], label_smoothing=self.training.label_smoothing
            )
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        images, labels = self.val
        with torch.no_grad():
            logits = model(images)
        accuracy = (logits.argmax(1) == labels).float().mean().item()
        return sum(losses) / len(losses), functional.cross_entropy(logits, labels).item(), accuracy


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "nadam"])
def test_it_learns_what_a_naive_loop_learns(
    digits: ImageData, images: Images, optimizer: Any, steps: int
) -> None:
    training = Training(
        batch_size=len(images.train) // steps,
        optimizer=optimizer,
        learning_rate=0.05 if optimizer == "sgd" else 0.003,
        weight_decay=0.01,
        label_smoothing=0.1,
    )
    fast, naive = network(), network()
    (epoch,) = run(images, training, model=fast, epochs=1)
    train_loss, val_loss, val_accuracy = NaiveLoop(digits, training).epoch(naive, seed=5)
    assert epoch.train_loss == pytest.approx(train_loss, rel=1e-5)
    assert epoch.val_loss == pytest.approx(val_loss, rel=1e-4)
    assert epoch.val_accuracy == pytest.approx(val_accuracy, abs=0.004)
    for (name, ours), theirs in zip(fast.named_parameters(), naive.parameters(), strict=True):
        # before batch norm a bias has no gradient but rounding errors, of which Adam makes whole steps
        if name != "0.bias":
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    "change",
    first_of(
        2,
        [
            {"optimizer": "muon", "learning_rate": 0.01},
            {"augmentation": ("shift", "rotation", "brightness", "contrast", "noise", "cutout")},
            {},
            {"mixup": 0.2},
            {"clip_norm": 1.0},
            {"ema_decay": 0.95},
        ],
    ),
)
def test_an_easy_problem_is_learned(images: Images, change: dict[str, Any]) -> None:
    epochs = run(images, replace(SGD, **change), epochs=6)
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].val_accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    for epoch in epochs:
        assert epoch.seconds > 0
        assert epoch.images_per_second > 0


def test_weights_lie_channels_last_as_images_do(images: Images) -> None:
    filters = [weight for weight in trainer(images, SGD).model.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in filters)
    assert any(not weight.is_contiguous() for weight in filters)


def test_an_epoch_tells_the_learning_rate_of_its_last_step(images: Images) -> None:
    rates = [epoch.learning_rate for epoch in run(images, replace(SGD, schedule="cosine"), epochs=2)]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 38)) / 2 for step in (18, 37)])


def test_the_same_seed_repeats_bit_for_bit_whatever_happens_before_and_in_between(images: Images) -> None:
    training = replace(SGD, augmentation=("shift", "cutout"))
    first = run(images, training, model=network(dropout=0.5))
    run(images, replace(SGD, optimizer="adam", batch_size=32), model=network(dropout=0.2), seed=99)
    again = []
    for epoch in trainer(images, training, model=network(dropout=0.5)).run():
        again.append(epoch)
        torch.rand(3)
    assert learned(first) == learned(again)


def test_another_seed_gives_another_result(images: Images) -> None:
    assert learned(run(images, SGD, seed=6)) != learned(run(images, SGD))


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_any_seed_of_a_proposal_will_do(images: Images, seed: int) -> None:
    assert run(images, SGD, epochs=1, seed=seed)


@pytest.mark.parametrize("batch_size", [64, 1000])
def test_streamed_images_train_like_resident_ones(digits: ImageData, images: Images, batch_size: int) -> None:
    training = replace(SGD, augmentation=("shift",), batch_size=batch_size)
    streamed = Images.load(digits, CPU, resident=False)
    assert learned(run(streamed, training)) == learned(run(images, training))


def test_a_stop_in_the_midst_of_a_streamed_epoch_leaves_no_thread(digits: ImageData) -> None:
    before = threading.active_count()
    asked = iter([False] * 3 + [True])
    assert run(Images.load(digits, CPU, resident=False), SGD, should_stop=lambda: next(asked)) == []
    assert threading.active_count() == before


@pytest.mark.parametrize("accumulation", [2, 3, 64])
def test_micro_batches_add_up_to_their_batch(images: Images, accumulation: int) -> None:
    training = replace(SGD, augmentation=("shift",), label_smoothing=0.1)
    whole = run(images, training, model=network(norm=False), epochs=1)
    parts = run(images, training, model=network(norm=False), epochs=1, accumulation=accumulation)
    assert learned(parts)[0] == pytest.approx(learned(whole)[0], rel=1e-3)


def test_micro_batches_are_no_larger_than_they_need_to_be(images: Images) -> None:
    seen = Recorder()
    run(images, SGD, model=seen, epochs=1, accumulation=4)
    assert {len(batch) for batch in seen.trained} == {16}
    assert max(len(batch) for batch in seen.evaluated) == 16


def test_all_batches_have_one_shape_and_no_image_comes_twice(images: Images) -> None:
    seen = Recorder()
    run(images, SGD, model=seen, epochs=1)
    assert [len(batch) for batch in seen.trained] == [64] * 19
    shown = torch.cat(seen.trained).flatten(1).unique(dim=0)
    assert len(shown) > 19 * 64 - 10  # digits has a few equal images


@pytest.mark.parametrize(("steps", "epochs"), [(0, 0), (5, 0), (25, 1), (45, 2)])
def test_a_stop_ends_training_without_the_epoch_it_is_in(images: Images, steps: int, epochs: int) -> None:
    assert len(images.train) // SGD.batch_size == 19
    asked = iter([False] * steps + [True])
    assert len(run(images, SGD, epochs=9, should_stop=lambda: next(asked))) == epochs


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_a_loss_that_explodes_has_diverged(images: Images, rate: float) -> None:
    with pytest.raises(Diverged, match=r"a training loss of .* in epoch 1"):
        run(images, replace(SGD, learning_rate=rate))


def test_a_network_broken_by_the_last_step_of_an_epoch_has_diverged(images: Images) -> None:
    with pytest.raises(Diverged, match=r"a validation loss of .* in epoch 1"):
        run(images, replace(SGD, learning_rate=1e38, batch_size=WHOLE), model=network(norm=False))


def test_a_network_that_guesses_has_not_diverged(images: Images) -> None:
    (epoch,) = run(images, replace(SGD, learning_rate=1e-9), epochs=1)
    assert epoch.train_loss == pytest.approx(math.log(10), rel=0.5)


def test_a_batch_larger_than_the_split_is_the_whole_split(images: Images) -> None:
    huge, exact = (run(images, replace(SGD, batch_size=size)) for size in (WHOLE, len(images.train)))
    assert learned(huge) == learned(exact)


@pytest.mark.parametrize("resident", first_of(1, [True, False]))
def test_bf16_trains_on_a_cpu_too(digits: ImageData, resident: bool) -> None:
    images = Images.load(digits, CPU, resident=resident)
    epochs = run(images, SGD, epochs=5, precision="bf16")
    assert epochs[-1].val_accuracy > 0.85
    assert learned(epochs) != learned(run(images, SGD, epochs=5))


def test_images_on_the_cpu_are_the_memory_map_itself(digits: ImageData) -> None:
    images = Images.load(digits, CPU)
    assert images.train.images.numpy().base is not None
    assert not images.train.images.numpy().flags.owndata


def test_images_are_normalised_to_mean_0_and_deviation_1_and_lie_channels_last(images: Images) -> None:
    pixels = images.normalise(images.train.images)
    assert pixels.shape == (len(images.train), 1, 8, 8)
    assert pixels.mean().item() == pytest.approx(0, abs=1e-4)
    assert pixels.std().item() == pytest.approx(1, abs=1e-3)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
