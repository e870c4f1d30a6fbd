"""A look at a dataset: some training images of every class on one sheet."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nas.datasets.image_data import ImageData
from nas.errors import StorageError

COLUMNS, ROWS = 12, 40
SMALLEST, LARGEST = 64, 128
"""Pixels. Images are enlarged by a whole factor to the one, or reduced to the other."""
GAP, MARGIN, HEADER, NAMES = 4, 28, 64, 180
"""Pixels: between images, around everything, the height of the header, and how wide a name may be."""
INK, PALE, PAPER = "#1b1b1b", "#757575", "#ffffff"


def contact_sheet(data: ImageData, path: Path) -> None:
    """Write a PNG with a row per class: its name, its size, and training images drawn at random.

    The draw is always the same. Of more than ROWS classes only the first are shown.

    Raises:
        StorageError: `path` cannot be written.
    """
    train = data.train
    names = [_shortened(name) for name in data.classes[:ROWS]]
    left = MARGIN + 4 * GAP + math.ceil(max(_font(15).getlength(name) for name in names))
    width, height = _tile_size(data)
    step_x, step_y = width + GAP, height + GAP
    sheet = Image.new(
        "RGB",
        (left + COLUMNS * step_x - GAP + MARGIN, 2 * MARGIN + HEADER + len(names) * step_y - GAP),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), data.info.name, INK, _font(22))
    draw.text((MARGIN, MARGIN + 30), _facts(data), PALE, _font(13))
    white = 65535 * max(min(1.0, mean + 3 * std) for mean, std in zip(data.mean, data.std, strict=True))
    generator = np.random.default_rng(0)
    for row, name in enumerate(names):
        top = MARGIN + HEADER + row * step_y
        middle = top + height // 2
        draw.text((MARGIN, middle - 1), name, INK, _font(15), anchor="ls")
        draw.text((MARGIN, middle + 3), f"{data.class_counts['train'][row]:,}", PALE, _font(12), anchor="la")
        members = np.flatnonzero(train.labels == row)
        chosen = generator.permutation(members)[:COLUMNS]
        for column, index in enumerate(chosen):
            tile = _tile(train.images[index], (width, height), white)
            sheet.paste(tile, (left + column * step_x, top))
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error


def _facts(data: ImageData) -> str:
    channels, height, width = data.info.shape
    splits = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    kind = {1: "grey", 3: "RGB"}.get(channels, f"with {channels} channels, the first shown")
    facts = f"{len(data.classes):,} classes, {width}x{height} {kind}, {splits}"
    return facts if len(data.classes) <= ROWS else f"{facts}; the first {ROWS} classes"


def _tile_size(data: ImageData) -> tuple[int, int]:
    """(width, height)"""
    _, height, width = data.info.shape
    side = max(height, width)
    scale = math.ceil(SMALLEST / side) if side < SMALLEST else min(1.0, LARGEST / side)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _tile(pixels: NDArray[Any], size: tuple[int, int], white: float) -> Image.Image:
    """`white` is the value that is shown so, of those of 16 bits, which scanners seldom use up."""
    if pixels.dtype == np.uint16:
        pixels = np.round(pixels * (255 / white)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    enlarged = size[0] > image.width
    return image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shortened(name: str) -> str:
    if _font(15).getlength(name) <= NAMES:
        return name
    while _font(15).getlength(f"{name}...") > NAMES:
        name = name[:-1]
    return f"{name}..."
