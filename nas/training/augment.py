"""Augmentation of whole batches on their device: uint8 (batch, height, width, channels) in and out.

The random numbers of an epoch are drawn beforehand on the CPU, one row an image, so that a seed augments
alike on every device and in batches of any size.
"""

import torch
from torch import Tensor
from torch.nn import functional


def draw(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """What `augment` does to each of `count` images: int64 (count, 5), uniform."""
    reach, side = shift_reach(height, width), cutout_side(height, width)
    limits = 2 * reach + 1, 2 * reach + 1, 2, height - side + 1, width - side + 1
    return torch.stack([torch.randint(limit, (count,), generator=generator) for limit in limits], dim=1)


def augment(images: Tensor, drawn: Tensor, names: tuple[str, ...], fill: Tensor) -> Tensor:
    """Shift, flip and cut out, as far as `names` has them.

    Args:
        drawn: rows of `draw`, one for each image.
        fill: uint8 (channels,): the colour of holes.
    """
    down, right, mirrored, top, left = drawn.unbind(1)
    if "shift" in names:
        images = shift(images, down, right)
    if "flip" in names:
        images = flip(images, mirrored)
    if "cutout" in names:
        images = cutout(images, top, left, fill)
    return images


def shift_reach(height: int, width: int) -> int:
    """The most pixels that an image moves in each direction."""
    return max(1, min(height, width) // 8)


def cutout_side(height: int, width: int) -> int:
    """The side of a hole in pixels."""
    return max(1, min(height, width) // 4)


def shift(images: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Cut a window as large as the image out of each image, padded with `shift_reach` zeros on every side.

    Args:
        top, left: int64 (batch,) in [0, 2 * reach]: where the window begins; `reach` moves nothing.
    """
    height, width = images.shape[1:3]
    reach = shift_reach(height, width)
    padded = functional.pad(images, (0, 0, reach, reach, reach, reach))
    return _windows(padded, height, width)[_every(images), top, left]


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left to right where `mirrored`, int64 (batch,), is 1 rather than 0."""
    both = torch.cat([images, images.flip(2)])  # copying rows is faster than choosing pixels with torch.where
    return both.index_select(0, _every(images) + len(images) * mirrored)


def cutout(images: Tensor, top: Tensor, left: Tensor, fill: Tensor) -> Tensor:
    """Fill one square of `cutout_side` pixels in each image; int64 (batch,): where it begins.

    DeVries and Taylor 2017, arXiv 1708.04552; here the whole square lies within the image.
    """
    side = cutout_side(*images.shape[1:3])
    images = images.clone()
    _windows(images, side, side)[_every(images), top, left] = fill
    return images


def _windows(images: Tensor, height: int, width: int) -> Tensor:
    """Every window of each image, as one overlapping view: (batch, top, left, height, width, channels)."""
    return images.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)


def _every(images: Tensor) -> Tensor:
    return torch.arange(len(images), device=images.device)
