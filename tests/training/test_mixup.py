"""Mixup against its formula."""

import pytest
import torch
from torch.nn import functional

from nas.training.mixup import draw_shares, mix, mixed_cross_entropy

COUNT, CLASSES = 5, 7


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_images_are_mixed_with_those_from_the_end(share: float) -> None:
    images = torch.randint(256, (COUNT, 4, 3, 2), dtype=torch.uint8)
    before = images.clone()
    mixed = mix(images, share)
    for place in range(COUNT):
        expected = share * images[place].double() + (1 - share) * images[COUNT - 1 - place].double()
        torch.testing.assert_close(mixed[place].double(), expected)
    assert mixed.dtype == torch.float32
    assert torch.equal(images, before)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_mixed_labels(share: float, smoothing: float) -> None:
    logits, labels = torch.randn(COUNT, CLASSES), torch.randint(CLASSES, (COUNT,))
    one_hot = functional.one_hot(labels, CLASSES).float()
    mixed = share * one_hot + (1 - share) * one_hot.flip(0)
    expected = functional.cross_entropy(logits, mixed, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(mixed_cross_entropy(logits, labels, share, smoothing), expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_a_beta_distribution(alpha: float) -> None:
    torch.manual_seed(0)
    shares = torch.tensor(draw_shares(alpha, 20_000))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.01)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    assert 0 <= shares.min() < shares.max() <= 1
