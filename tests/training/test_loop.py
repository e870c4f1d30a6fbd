"""The training loop: against a naive one, against itself, and at its edges."""

import copy
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.datasets import ImageData, open_data
from nas.space import AUGMENTATIONS, Optimizer, Schedule, Training
from nas.training.epoch import Diverged, Epoch
from nas.training.evaluate import evaluate
from nas.training.images import Images
from nas.training.loop import Trainer

CPU = torch.device("cpu")
WHOLE = 10**6
"""A batch size that makes one batch of the training split."""
SGD = Training(batch_size=64, optimizer="sgd", learning_rate=0.05, weight_decay=1e-3)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_data("digits")


@pytest.fixture(scope="module")
def images(digits: ImageData) -> Images:
    return Images.load(digits, CPU)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(dropout: float = 0.0, norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(256, 10),
    )


def run(
    images: Images,
    training: Training,
    *,
    model: nn.Module | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **options: Any,
) -> list[Epoch]:
    return list(trainer(images, training, model=model, **options).run(should_stop))


def trainer(images: Images, training: Training, *, model: nn.Module | None = None, **options: Any) -> Trainer:
    return Trainer(
        model or network(), images, training, **({"epochs": 2, "precision": "fp32", "seed": 5} | options)
    )


def learned(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    """What must repeat: all but times and memory."""
    return [(epoch.train_loss, epoch.val_loss, epoch.val_accuracy, epoch.learning_rate) for epoch in epochs]


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
    [
        {},
        {"augmentation": ("shift", "rotation", "brightness", "contrast", "noise", "cutout")},
        {"optimizer": "muon", "learning_rate": 0.01},
        {"mixup": 0.2},
        {"clip_norm": 1.0},
        {"ema_decay": 0.95},
    ],
    ids=str,
)
def test_an_easy_problem_is_learned(images: Images, change: dict[str, Any]) -> None:
    epochs = run(images, replace(SGD, **change), epochs=6)
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].val_accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    for epoch in epochs:
        assert epoch.seconds > 0
        assert epoch.images_per_second > 0


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


class Recorder(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.trained: list[Tensor] = []
        self.evaluated: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        (self.trained if self.training else self.evaluated).append(images.clone())
        logits: Tensor = self.linear(images.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("augmentation", "alike"), [((), True), (("shift",), False), (("cutout",), False)], ids=str
)
def test_augmentation_makes_other_images_each_epoch_and_leaves_validation_alone(
    images: Images, augmentation: tuple[str, ...], alike: bool
) -> None:
    seen = Recorder()
    run(images, replace(SGD, batch_size=WHOLE, augmentation=augmentation), model=seen)
    first, second = seen.trained
    assert not torch.equal(first, second)
    assert torch.equal(*(batch.flatten(1).unique(dim=0) for batch in (first, second))) == alike
    assert torch.equal(seen.evaluated[0], images.normalise(images.val.images))
    assert torch.equal(seen.evaluated[1], seen.evaluated[0])


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


@pytest.mark.parametrize(
    "change",
    [
        {"augmentation": ("shift",)},
        {"label_smoothing": 0.2},
        {"schedule": "cosine"},
        {"warmup": 0.5},
        {"momentum": 0.0},
        {"weight_decay": 0.1},
        {"batch_size": 32},
        *({"optimizer": optimizer} for optimizer in get_args(Optimizer) if optimizer != "sgd"),
        *(
            {"schedule": schedule}
            for schedule in get_args(Schedule)
            if schedule not in ("constant", "plateau")
        ),
        *({"augmentation": (name,)} for name in AUGMENTATIONS),
        {"mixup": 0.4},
        {"clip_norm": 0.1},
        {"ema_decay": 0.9},
    ],
    ids=str,
)
def test_every_training_setting_makes_a_difference(images: Images, change: dict[str, Any]) -> None:
    assert learned(run(images, replace(SGD, **change))) != learned(run(images, SGD))


def test_plateau_lowers_the_rate_where_accuracy_stays(images: Images) -> None:
    still = replace(SGD, learning_rate=1e-9, batch_size=WHOLE, schedule="plateau")
    epochs = run(images, still, model=network(norm=False), epochs=6)
    assert len({epoch.val_accuracy for epoch in epochs}) == 1
    rates = [epoch.learning_rate / still.learning_rate for epoch in epochs]
    assert rates == pytest.approx([1, 1, 1, 0.2, 0.2, 0.04])


def flat(model: nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_gradients_are_clipped_to_their_common_norm(images: Images) -> None:
    moved = {}
    for clip_norm in (0.0, 0.05, 1e6):
        model = network()
        before = flat(model)
        plain = replace(SGD, learning_rate=1.0, momentum=0.0, weight_decay=0.0, batch_size=WHOLE)
        run(images, replace(plain, clip_norm=clip_norm), model=model, epochs=1)
        moved[clip_norm] = flat(model) - before
    assert moved[0.05].norm().item() == pytest.approx(0.05, rel=1e-3)
    torch.testing.assert_close(moved[0.05] / 0.05, moved[0.0] / moved[0.0].norm(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(moved[1e6], moved[0.0])


def test_the_averaged_weights_are_evaluated_and_kept(images: Images) -> None:
    averaging = trainer(images, replace(SGD, ema_decay=0.95))
    *_, last = averaging.run()
    for model, same in ((averaging.evaluated, True), (averaging.model, False)):
        loss, accuracy = evaluate(model, images, images.val, precision="fp32", batch_size=64)
        assert ((loss, accuracy) == (last.val_loss, last.val_accuracy)) == same
    assert last.val_accuracy > 0.5
    kept = averaging.evaluated.state_dict()
    assert kept.keys() == network().state_dict().keys()
    plain = trainer(images, SGD)
    list(plain.run())
    torch.testing.assert_close(plain.model.state_dict(), averaging.model.state_dict(), rtol=0, atol=0)
    assert plain.evaluated is plain.model


def test_alternating_flip_shows_the_mirror_image_an_epoch_later(images: Images) -> None:
    seen = Recorder()
    run(images, replace(SGD, batch_size=WHOLE, augmentation=("alternating_flip",)), model=seen, epochs=3)
    first, second, third = (batch.flatten(1).unique(dim=0) for batch in seen.trained)
    mirrored = seen.trained[0].flip(3).flatten(1).unique(dim=0)
    assert torch.equal(second, mirrored)
    assert torch.equal(first, third)
    assert not torch.equal(first, second)


def test_mixup_shows_mixtures_and_their_loss(images: Images) -> None:
    seen = Recorder()
    untrained = copy.deepcopy(seen.linear)
    (epoch,) = run(images, replace(SGD, batch_size=WHOLE, mixup=1.0), model=seen, epochs=1)
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(5))
    plain, labels = images.normalise(images.train.images[order]), images.train.labels[order]
    (mixed,) = seen.trained
    # one share for the whole batch, found again in any pixel
    share = ((mixed - plain.flip(0)).double() * (plain - plain.flip(0)).double()).sum()
    share /= (plain - plain.flip(0)).double().square().sum()
    torch.testing.assert_close(mixed, torch.lerp(plain.flip(0), plain, share.float()), rtol=1e-3, atol=1e-3)
    assert 0.01 < share < 0.99
    logits = untrained(mixed.flatten(1))
    first, second = (functional.cross_entropy(logits, truth).item() for truth in (labels, labels.flip(0)))
    assert epoch.train_loss == pytest.approx(share.item() * first + (1 - share.item()) * second, rel=1e-4)


def test_weights_decay_and_biases_do_not(images: Images) -> None:
    model = network()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    still = replace(SGD, optimizer="adamw", learning_rate=1e-9, weight_decay=1e8, batch_size=WHOLE)
    run(images, still, model=model, epochs=1)
    for name, parameter in model.named_parameters():
        kept = 0.9 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter, kept * before[name], rtol=1e-5, atol=1e-6)


def test_a_batch_larger_than_the_split_is_the_whole_split(images: Images) -> None:
    huge, exact = (run(images, replace(SGD, batch_size=size)) for size in (WHOLE, len(images.train)))
    assert learned(huge) == learned(exact)


@pytest.mark.parametrize("resident", [True, False])
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
