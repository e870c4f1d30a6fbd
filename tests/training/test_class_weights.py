"""Weights of classes in the loss, against PyTorch's own and against their promise."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from nas.errors import UnknownName
from nas.space import Training
from nas.space.contract import override
from nas.training.class_weights import class_weights
from nas.training.images import Images
from nas.training.loss import cross_entropy
from nas.training.mixup import mixed_cross_entropy
from tests.training.samples import SGD, WHOLE, learned, network, run

LABELS = torch.tensor([0] * 90 + [1] * 10)
NAMES = ("common", "rare", "absent")


def test_balanced_classes_count_alike_and_images_once_on_average():
    found = class_weights("balanced", [LABELS], 3, NAMES)
    assert found is not None
    assert found[LABELS].mean().item() == pytest.approx(1)
    assert found[0].item() * 90 == pytest.approx(found[1].item() * 10)
    assert found.isfinite().all()


def test_weights_by_name_keep_their_proportions_and_the_mean():
    found = class_weights({"rare": 6.0}, [LABELS[:50], LABELS[50:]], 3, NAMES)
    assert found is not None
    assert found[LABELS].mean().item() == pytest.approx(1)
    assert (found / found[0]).tolist() == pytest.approx([1, 6, 1])


def test_without_weights_there_is_nothing_to_multiply():
    assert class_weights(None, [LABELS], 3, NAMES) is None


def test_a_class_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"No class named 'rara'. Did you mean 'rare'\?"):
        class_weights({"rara": 2.0}, [LABELS], 3, NAMES)


@pytest.mark.parametrize("value", [{}, {"cat": 0}, {"cat": float("inf")}, {"cat": True}, "even"])
def test_what_is_no_weight_is_no_training_setting(value):
    with pytest.raises(ValueError, match=r"Training.class_weights cannot be"):
        replace(SGD, class_weights=value)


@pytest.mark.parametrize("value", ["balanced", {"3": 2.0}])
def test_weights_are_part_of_a_proposal_that_has_them_and_of_no_other(value):
    assert override(SGD, {"class_weights": value}) == replace(SGD, class_weights=value)
    assert override(SGD, {"class_weights": "none"}) == SGD


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_an_image_is_multiplied_by_the_weight_of_its_label(smoothing: float) -> None:
    logits, labels, weights = torch.randn(5, 7), torch.randint(7, (5,)), torch.rand(7)
    each = [functional.cross_entropy(logits[row], labels[row], label_smoothing=smoothing) for row in range(5)]
    expected = sum(weights[labels[row]] * each[row] for row in range(5))
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing, weights), expected)
    share = 0.3
    mixed = sum(
        share * weights[labels[row]] * each[row]
        + (1 - share)
        * weights[labels[4 - row]]
        * functional.cross_entropy(logits[row], labels[4 - row], label_smoothing=smoothing)
        for row in range(5)
    )
    torch.testing.assert_close(mixed_cross_entropy(logits, labels, share, smoothing, weights), mixed)


@pytest.mark.parametrize("change", [{}, {"label_smoothing": 0.1}, {"mixup": 0.4}], ids=str)
@pytest.mark.parametrize("weights", ["balanced", {"3": 50.0}], ids=str)
def test_training_obeys_the_weights(images: Images, change: dict, weights: object) -> None:
    """The loss of one step of all images, before it changes anything, and what is learned then."""
    named = replace(images, classes=tuple("0123456789"))
    plain: Training = replace(SGD, batch_size=WHOLE, **change)
    weighted = replace(plain, class_weights=weights)
    model = network()
    asked = class_weights(weighted.class_weights, [images.train.labels], 10, named.classes)
    (first,) = run(named, weighted, model=model, epochs=1)
    (other,) = run(named, plain, epochs=1)
    assert learned([first]) != learned([other])
    if not change:
        with torch.no_grad():
            fresh = network()
            logits = fresh(images.normalise(images.train.images.float()))
            total = functional.cross_entropy(logits, images.train.labels, asked, reduction="sum")
        assert first.train_loss == pytest.approx(total.item() / len(images.train), rel=1e-4)


def test_the_weights_are_those_of_all_images_that_are_trained_on(images: Images) -> None:
    both = images.with_val()
    counted = sum(len(part) for part in both.train.all_labels)
    assert counted == len(both.train) == len(images.train) + len(images.val)
