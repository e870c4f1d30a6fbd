"""One image of any kind, as 8-bit grey or RGB pixels; or in all its depth, where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from nas.datasets.deep import SIXTEEN_BIT, Pixels, image_array, planes_of, resized
from nas.datasets.rules import FIRST, NEWEST

GREY = ("1", "L", "LA", "La")
PALETTE = ("P", "PA")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
COLOUR = ("CMYK", "YCbCr", "HSV", "RGBX", "LAB")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""


class Remark(NamedTuple):
    """Something done to an image that its owner may want to know."""

    kind: str
    """Such as "RGBA image"; an s makes it plural."""
    done: str
    """Such as "blended onto black"."""


@dataclass(frozen=True)
class Picture:
    """A decoded image."""

    pixels: Pixels
    """(height, width, channels): one channel where it is stored as grey, else three; or as many as it has."""
    size: tuple[int, int]
    """(width, height) as stored, before turning and resizing."""
    remarks: tuple[Remark, ...]

    @property
    def pixel_count(self) -> int:
        """As stored."""
        return self.size[0] * self.size[1]


def convert(
    image: Image.Image | NDArray[Any], side: int | None, rules: int = NEWEST, *, native: bool = False
) -> Picture:
    """Turn an opened image upright, make it 8-bit grey or RGB, and bring it to `side` x `side` pixels.

    Resizing keeps the proportions: the centre is cropped to a square, which is then scaled, antialiased, with
    bicubic interpolation. None keeps the image's size. Metadata that is broken is as none, but for the first
    `nas.datasets.rules`.

    Args:
        native: keep 16 bits of grey, and every channel of an array or page of a TIFF.

    Raises:
        OSError, SyntaxError, ValueError and others: the image is broken, or of a kind that has no 8-bit form.
    """
    if not isinstance(image, Image.Image):
        return _of_array(image_array(image), side)
    size = image.size
    if native:
        planes = planes_of(image, lambda page: _upright(page, rules))
        if planes is not None:
            return _deep(planes, size, side)
    remarks: list[Remark] = []
    if side is not None:
        image.draft(None, (2 * side, 2 * side))  # lets libjpeg leave out detail that scaling would remove
    image.load()
    if getattr(image, "is_animated", False):
        remarks.append(Remark("animation or multi-page image", "reduced to the first frame"))
    if image.format == "ICO" and len(image.info.get("sizes", ())) > 1:
        remarks.append(Remark("icon of several sizes", "reduced to the largest"))
    if rules == FIRST and image.mode == "LAB":
        raise ValueError("pixels of mode LAB have no fixed range")
    turned = _upright(image, rules)
    if turned is not image:
        image = turned
        remarks.append(Remark("image", "turned upright by their EXIF orientation"))
    flat = _flatten(image, remarks)
    if side is not None and flat.size != (side, side):
        flat = ImageOps.fit(flat, (side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(flat)
    return Picture(pixels[..., None] if pixels.ndim == 2 else pixels, size, tuple(remarks))


def _of_array(pixels: Pixels, side: int | None) -> Picture:
    """As images of the same pixels are converted, where there can be any."""
    height, width, channels = pixels.shape
    if pixels.dtype == np.uint8 and channels in (1, 3):
        return convert(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), side)
    return _deep(pixels, (width, height), side)


def _deep(pixels: Pixels, size: tuple[int, int], side: int | None) -> Picture:
    return Picture(pixels if side is None else resized(pixels, side, side), size, ())


def _upright(image: Image.Image, rules: int) -> Image.Image:
    """By its EXIF orientation; itself where that says nothing."""
    turn = TURNS.get(_orientation(image, rules))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image, rules: int) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # of metadata alone; the pixels are decoded
        if rules == FIRST:
            raise
        return None


def _flatten(image: Image.Image, remarks: list[Remark]) -> Image.Image:
    """The image in mode L or RGB, with what was done to it added to `remarks`."""
    if image.mode in SIXTEEN_BIT:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("it has 32-bit values outside 0..65535")
        remarks.append(Remark("16-bit image", "reduced to 8 bits, 65535 becoming 255"))
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if image.mode in ALPHA or "transparency" in image.info:
        kind = "transparent palette" if image.mode in PALETTE else image.mode
        remarks.append(Remark(f"{kind} image", "blended onto black"))
        black = Image.new("RGBA", image.size, "black")
        return _grey_again(image, Image.alpha_composite(black, image.convert("RGBA")).convert("RGB"))
    if image.mode in PALETTE:
        flat = _grey_again(image, image.convert("RGB"))
        remarks.append(Remark("palette image", "converted to " + ("grey" if flat.mode == "L" else "RGB")))
        return flat
    if image.mode == "1":
        remarks.append(Remark("1-bit image", "converted to grey"))
        return image.convert("L")
    if image.mode in COLOUR:
        remarks.append(Remark(f"{image.mode} image", "converted to RGB"))
        return image.convert("RGB")
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"pixels of mode {image.mode} have no fixed range; save 8 or 16 bits per channel")
    return image


def _grey_again(image: Image.Image, flat: Image.Image) -> Image.Image:
    """The RGB image `flat` as grey where `image` was, or where its palette shows nothing else."""
    red, green, blue = (channel.tobytes() for channel in flat.split())
    if image.mode in GREY or (image.mode in PALETTE and red == green == blue):
        return flat.convert("L")
    return flat
