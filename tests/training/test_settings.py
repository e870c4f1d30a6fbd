"""Every training setting does what it says."""

import copy
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.space import AUGMENTATIONS, Optimizer, Schedule
from nas.training.evaluate import evaluate
from nas.training.images import Images
from tests.training.samples import SGD, WHOLE, Recorder, learned, network, run, trainer


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


@pytest.fixture(scope="module")
def plain(images: Images) -> list[tuple[float, ...]]:
    """What is learned without any change."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    epochs = run(images, SGD)
    torch.set_num_threads(threads)
    return learned(epochs)


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
def test_every_training_setting_makes_a_difference(
    images: Images, plain: list[tuple[float, ...]], change: dict[str, Any]
) -> None:
    assert learned(run(images, replace(SGD, **change))) != plain


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
        loss, counts = evaluate(model, images, images.val, precision="fp32", batch_size=64)
        assert ((loss, counts.hits.sum() / len(images.val)) == (last.val_loss, last.val_accuracy)) == same
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
