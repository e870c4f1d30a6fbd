"""Images in all their depth: 16 bits, and any number of channels. What `--depth native` keeps.

Arrays and pages that are channels come here, and grey images of 16 bits; what has 8 bits and is grey or
coloured is converted as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nas.datasets.npy import BLOCK

TOP = 65535

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def image_array(array: NDArray[Any]) -> Pixels:
    """One image (height, width) or (height, width, channels), as (height, width, channels).

    Raises:
        ValueError: it is no image, or its values have no fixed range.
    """
    if not array.size or array.ndim not in (2, 3):
        raise ValueError(
            f"the array is {array.shape}; an image is (height, width) or (height, width, channels)"
        )
    check_order(array.shape)
    kept = kept_values(array)
    return kept[..., None] if kept.ndim == 2 else kept


def check_order(shape: tuple[int, ...]) -> None:
    """Raises ValueError where channels come first, as far as (…, height, width, channels) can tell."""
    if len(shape) > 2 and 2 * shape[-3] <= shape[-2] == shape[-1]:
        order = (*range(len(shape) - 3), len(shape) - 2, len(shape) - 1, len(shape) - 3)
        raise ValueError(f"{shape} looks as if channels came first: they come last, so transpose{order}")


def kept_values(array: NDArray[Any]) -> Pixels:
    """uint8 as it is; other integers as uint16; floats in [0, 1] as uint16, 1 becoming 65535.

    Raises:
        ValueError: values lie outside of that.
    """
    if array.dtype.kind not in "buif":
        raise ValueError(f"the array holds {array.dtype}, neither integers nor floats")
    if array.dtype in (np.uint8, np.bool_):
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.uint16:
        return array.astype(np.uint16, copy=False)  # of either order of bytes
    low, high = array.min(), array.max()
    top, allowed = (
        (1, "floats must lie in [0, 1]") if array.dtype.kind == "f" else (TOP, "integers in 0..65535")
    )
    if not (low >= 0 and high <= top):  # so written, NaN is refused too
        raise ValueError(f"values range from {low:g} to {high:g}; {allowed}")
    if array.dtype.kind != "f":
        return array.astype(np.uint16)
    kept = np.empty(array.shape, np.uint16)
    rows = max(1, BLOCK // max(1, 8 * array[:1].size))
    for start in range(0, len(array), rows):  # some at a time: doubles take four times more
        block = slice(start, start + rows)
        kept[block] = np.rint(array[block] * np.float64(TOP))
    return kept


def planes_of(image: Image.Image, upright: Callable[[Image.Image], Image.Image]) -> Pixels | None:
    """(height, width, channels) of a grey image of 16 bits, or of a TIFF whose pages are channels; None for
    images that 8 bits hold.

    Args:
        upright: turns an image by its EXIF orientation, once its pixels are decoded.

    Raises:
        ValueError: its pages do not belong together, or are coloured, or Pillow would cut its values.
    """
    pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if pages == 1 and image.mode not in SIXTEEN_BIT:
        _check_raw(image)
        return None
    planes: list[Pixels] = []
    for page in range(pages):
        if pages > 1:
            image.seek(page)
        planes.append(_plane(image, upright, page))
        if planes[-1].shape != planes[0].shape or planes[-1].dtype != planes[0].dtype:
            raise ValueError(
                f"page {page + 1} is {_kind(planes[-1])} and page 1 is {_kind(planes[0])}: pages that are"
                " channels are all alike; --depth 8bit reads the first alone"
            )
    stacked: Pixels = np.stack(planes, axis=-1)  # type: ignore[assignment]
    return stacked


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Its centre, cropped to these proportions and scaled, antialiased, with bicubic interpolation."""
    if pixels.shape[:2] == (height, width):
        return pixels
    floats = [Image.fromarray(pixels[..., each].astype(np.float32)) for each in range(pixels.shape[2])]
    fitted = [ImageOps.fit(plane, (width, height), Image.Resampling.BICUBIC) for plane in floats]
    rounded = np.rint(np.stack([np.asarray(plane) for plane in fitted], axis=-1))
    fitting: Pixels = rounded.clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return fitting


def _plane(image: Image.Image, upright: Callable[[Image.Image], Image.Image], page: int) -> Pixels:
    if image.mode not in (*SIXTEEN_BIT, "L", "1"):
        raise ValueError(
            f"page {page + 1} has mode {image.mode}: pages that are channels are grey;"
            " --depth 8bit reads the first alone"
        )
    image.load()
    turned = upright(image)
    if image.mode in ("L", "1"):
        return np.asarray(turned.convert("L"))
    values = np.asarray(turned)
    if values.min() < 0 or values.max() > TOP:
        raise ValueError("it has 32-bit values outside 0..65535")
    return values.astype(np.uint16)


def _check_raw(image: Image.Image) -> None:
    """Pillow opens colours of 16 bits as those of 8."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(";16" in each for each in arguments if isinstance(each, str)):
            raise ValueError(
                f"its {image.mode} pixels have 16 bits, of which 8 would be lost: save it as .npy, as a TIFF"
                " with a grey page for each channel, or leave --depth native out"
            )


def _kind(plane: Pixels) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]} of {8 * plane.itemsize} bits"
