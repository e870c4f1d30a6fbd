"""Augmentation of whole batches on their device: (batch, height, width, channels) in and out, uint8 or as
`nas.training.values` has 16 bits.

The random numbers of an epoch are drawn beforehand on the CPU, one row an image, so that a seed augments
alike on every device and in batches of any size.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from nas.training.values import rounded, top, values

LEVELS = 2**16
"""Random numbers of this many values stand for angles, factors and places."""

DEGREES = 10.0
"""The most that an image is rotated."""

CHANGE = 0.2
"""The part by which brightness and contrast change at most."""

NOISE = 8.0
"""Standard deviation of noise, out of 255 whatever the bits."""


class Augmentation:
    """What training does to images, as far as `names` has it: the order is that of `nas.space.AUGMENTATIONS`.

    `draw` draws the random numbers of an epoch; called, it changes a batch by its rows of them.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        shape: tuple[int, int, int],
        count: int,
        fill: Tensor,
        generator: torch.Generator,
    ) -> None:
        """For `count` images of `shape` (channels, height, width).

        Args:
            fill: (channels,): the colour of holes; of the type and on the device of the images.
        """
        self.names = names
        self._height, self._width = shape[1:]
        self._fill = fill
        # what is not named draws no numbers, so that those of other proposals stay the same for ever
        if "alternating_flip" in names:
            self._mirrored_first = torch.randint(2, (count,), generator=generator)
        grain = NOISE * torch.randn(
            math.prod(shape) + LEVELS - 1 if "noise" in names else 0, generator=generator
        )
        self.grain = grain.round().to(torch.int8).to(fill.device)
        """Noise to cut pieces from, for all images and epochs."""

    def draw(self, order: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Rows for the images of an epoch.

        Args:
            order: int64 (images,): which image comes when.
            epoch: 1 for the first.

        Returns:
            int64 (images, columns), on the CPU.
        """
        reach, side = shift_reach(self._height, self._width), cutout_side(self._height, self._width)
        limits = [2 * reach + 1, 2 * reach + 1, 2, self._height - side + 1, self._width - side + 1]
        limits += [LEVELS] * len(self._by_level)
        drawn = [torch.randint(limit, (len(order),), generator=generator) for limit in limits]
        if "alternating_flip" in self.names:  # Jordan 2024, arXiv 2404.00498
            drawn[2] = (self._mirrored_first[order] + epoch + 1) % 2
        return torch.stack(drawn, dim=1)

    def __call__(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Augmented images; `drawn`: rows of `draw`, one for each image, on the device of the images."""
        top, left, mirrored, hole_top, hole_left, *others = drawn.unbind(1)
        level = dict(zip(self._by_level, others, strict=True))
        if "shift" in self.names:
            images = shift(images, top, left)
        if "flip" in self.names or "alternating_flip" in self.names:
            images = flip(images, mirrored)
        if "rotation" in level:
            images = rotate(images, DEGREES * _uniform(level["rotation"]))
        if "brightness" in level:
            images = brighten(images, 1 + CHANGE * _uniform(level["brightness"]))
        if "contrast" in level:
            images = contrast(images, 1 + CHANGE * _uniform(level["contrast"]))
        if "noise" in level:
            images = add_noise(images, self.grain, level["noise"])
        if "cutout" in self.names:
            images = cutout(images, hole_top, hole_left, self._fill)
        return images

    @property
    def _by_level(self) -> list[str]:
        return [name for name in ("rotation", "brightness", "contrast", "noise") if name in self.names]


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


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image counterclockwise about its centre by float32 (batch,); outside of it all is zero.

    Bilinear, so that devices may differ by one brightness level.
    """
    height, width = images.shape[1:3]
    cosine, sine = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    zero = torch.zeros_like(degrees)
    rows = [cosine, -sine * height / width, zero], [sine * width / height, cosine, zero]
    inverse = torch.stack([torch.stack(row, 1) for row in rows], 1)
    pixels = values(images.permute(0, 3, 1, 2))
    places = functional.affine_grid(inverse, list(pixels.shape), align_corners=False)
    turned = functional.grid_sample(pixels, places, align_corners=False).permute(0, 2, 3, 1)
    return _like(images, turned)


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image by its factor, float32 (batch,)."""
    return _like(images, _convertible(images) * factor[:, None, None, None])


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image's distance from its own mean by its factor, float32 (batch,)."""
    mean = _convertible(images).mean((1, 2, 3), keepdim=True, dtype=torch.float32)
    return _like(images, torch.lerp(mean, values(images), factor[:, None, None, None]))


def add_noise(images: Tensor, grain: Tensor, start: Tensor) -> Tensor:
    """Add to each image a piece of the noise `grain`, int8: that which begins at `start`, int64 (batch,)."""
    pieces = grain.unfold(0, images[0].numel(), 1)[start].view_as(images)
    if images.dtype == torch.int16:
        return rounded(values(images).add_(pieces, alpha=top(images) / 255), images.dtype)
    return images.short().add_(pieces).clamp_(0, 255).to(torch.uint8)


def cutout(images: Tensor, top: Tensor, left: Tensor, fill: Tensor) -> Tensor:
    """Fill one square of `cutout_side` pixels in each image; int64 (batch,): where it begins.

    DeVries and Taylor 2017, arXiv 1708.04552; here the whole square lies within the image.
    """
    side = cutout_side(*images.shape[1:3])
    images = images.clone()
    _windows(images, side, side)[_every(images), top, left] = fill
    return images


def _like(images: Tensor, pixels: Tensor) -> Tensor:
    """Of the type of `images`, the channels last in memory; overwrites the float pixels."""
    return rounded(pixels, images.dtype).contiguous()


def _convertible(images: Tensor) -> Tensor:
    """What can be computed with: bits of 16 as floats."""
    return values(images) if images.dtype == torch.int16 else images


def _uniform(level: Tensor) -> Tensor:
    """float32 in [-1, 1]."""
    return level.float() * (2 / (LEVELS - 1)) - 1


def _windows(images: Tensor, height: int, width: int) -> Tensor:
    """Every window of each image, as one overlapping view: (batch, top, left, height, width, channels)."""
    return images.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)


def _every(images: Tensor) -> Tensor:
    return torch.arange(len(images), device=images.device)
