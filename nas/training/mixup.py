"""Mixup: networks learn blends of two images. Zhang et al. 2018, arXiv 1710.09412."""

import torch
from torch import Tensor
from torch.distributions import Beta

from nas.training.loss import cross_entropy
from nas.training.values import values


def draw_shares(alpha: float, count: int) -> list[float]:
    """The first image's part in each of `count` batches, from PyTorch's own random numbers on the CPU."""
    shares: list[float] = Beta(alpha, alpha).sample(torch.Size([count])).tolist()
    return shares


def mix(images: Tensor, share: float) -> Tensor:
    """float32: `share` of each image, and the rest of its partner: of the first, that is the last."""
    pixels = values(images)
    return pixels.flip(0).lerp_(pixels, share)


def mixed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    share: float,
    label_smoothing: float,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Of images that `mix` has mixed, summed over them."""
    first, second = (
        cross_entropy(logits, truth, label_smoothing, class_weights) for truth in (labels, labels.flip(0))
    )
    return share * first + (1 - share) * second
