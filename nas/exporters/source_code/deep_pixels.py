"""How model.py reads images in all their depth: this stands in the place of its `preprocess`."""

from __future__ import annotations

import ast
import math
from array import array
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from nas.exporters.source_code.template import (
    CHANNELS,
    HEIGHT,
    MEAN,
    SIXTEEN_BIT,
    STD,
    WIDTH,
    flatten,
    limits,
    open_image,
    upright,
)

BITS = 16

# The pixels [


def preprocess(source: str | Path | Image.Image | Tensor) -> Tensor:
    """One image as float32 (CHANNELS, HEIGHT, WIDTH), normalised.

    Grey images of 16 bits, TIFF files whose pages are channels, .npy files and tensors (height, width) or
    (height, width, channels) keep their depth. All are turned upright and scaled, antialiased, to cover
    WIDTH x HEIGHT pixels, of which the centre is taken.
    """
    if isinstance(source, Tensor):
        pixels = of_array(source)
    elif isinstance(source, Image.Image):
        pixels = of_image(source)
    elif Path(source).suffix.lower() == ".npy":
        pixels = of_array(read_npy(Path(source)))
    else:
        with limits(), open_image(Path(source)) as opened:
            side = 2 * max(HEIGHT, WIDTH)
            opened.draft(None, (side, side))  # lets libjpeg leave out detail that scaling would remove
            pixels = of_image(opened)
    if pixels.shape[2] == 1 and CHANNELS == 3:
        pixels = pixels.expand(-1, -1, 3)
    if pixels.shape[2] != CHANNELS:
        raise ValueError(f"it has {pixels.shape[2]} channels, and the network takes {CHANNELS}")
    scaled: Tensor = (pixels / (2**BITS - 1) - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(2, 0, 1).contiguous()


def of_image(image: Image.Image) -> Tensor:
    """float32 (HEIGHT, WIDTH, channels), of BITS bits."""
    pages: int = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if pages == 1 and image.mode not in SIXTEEN_BIT:
        for tile in getattr(image, "tile", ()):
            arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
            if any(";16" in each for each in arguments if isinstance(each, str)):
                raise ValueError(f"its {image.mode} pixels have 16 bits, of which 8 would be lost")
        return of_eight_bits(image)
    planes, kinds = [], set()
    for page in range(pages):
        if pages > 1:
            image.seek(page)
        if image.mode not in (*SIXTEEN_BIT, "L", "1"):
            raise ValueError(f"page {page + 1} has mode {image.mode}: pages that are channels are grey")
        deep = image.mode in SIXTEEN_BIT
        plane = upright(image).convert("I" if deep else "L")
        extrema: Any = plane.getextrema()
        if min(extrema) < 0 or max(extrema) > 65535:
            raise ValueError("it has 32-bit values outside 0..65535")
        planes.append(plane.convert("F"))
        kinds.add((plane.size, 16 if deep else 8))
    if len(kinds) > 1:
        raise ValueError("its pages differ in size or depth")
    return of_planes(planes, kinds.pop()[1])


def of_eight_bits(image: Image.Image) -> Tensor:
    """As `of_image`, of an image that 8 bits hold."""
    flat = flatten(upright(image))
    if flat.size != (WIDTH, HEIGHT):
        flat = ImageOps.fit(flat, (WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    flat = flat.convert("L") if CHANNELS == 1 else flat
    pixels = torch.frombuffer(bytearray(flat.tobytes()), dtype=torch.uint8)
    return in_bits(pixels.reshape(HEIGHT, WIDTH, -1).float(), 8)


def of_array(values: Tensor) -> Tensor:
    """As `of_image`: uint8 has 8 bits; other integers, and floats in [0, 1], have 16."""
    if values.ndim not in (2, 3) or not values.numel():
        raise ValueError(f"the array is {tuple(values.shape)}; an image is (height, width, channels)")
    values = values[..., None] if values.ndim == 2 else values
    height, width, channels = values.shape
    bits = 8 if values.dtype in (torch.uint8, torch.bool) else 16
    if bits == 8 and channels in (1, 3):
        content = bytes(values.to(torch.uint8).flatten().tolist())
        return of_eight_bits(Image.frombytes("L" if channels == 1 else "RGB", (width, height), content))
    numbers = values.double()
    low, high, top = numbers.min(), numbers.max(), 1 if values.is_floating_point() else 65535
    if not (low >= 0 and high <= top):
        raise ValueError(f"values range from {low:g} to {high:g}; integers in 0..65535, floats in [0, 1]")
    numbers = (numbers * 65535).round() if values.is_floating_point() else numbers
    contents = [array("f", plane.flatten().tolist()).tobytes() for plane in numbers.unbind(2)]
    return of_planes([Image.frombytes("F", (width, height), content) for content in contents], bits)


def of_planes(planes: list[Image.Image], bits: int) -> Tensor:
    """As `of_image`, of one image of floats for each channel."""
    size = WIDTH, HEIGHT
    fitted = [
        each if each.size == size else ImageOps.fit(each, size, Image.Resampling.BICUBIC) for each in planes
    ]
    floats = [torch.frombuffer(bytearray(each.tobytes()), dtype=torch.float32) for each in fitted]
    pixels = torch.stack(floats, -1).reshape(HEIGHT, WIDTH, -1)
    return in_bits(pixels.round().clamp(0, 2**bits - 1), bits)


def in_bits(pixels: Tensor, bits: int) -> Tensor:
    """Values of so many bits as values of BITS."""
    if bits == BITS:
        return pixels
    return pixels * 257 if bits < BITS else (pixels / 257).round()


NUMBERS = {
    "b1": torch.bool,
    "u1": torch.uint8,
    "u2": torch.uint16,
    "u4": torch.uint32,
    "u8": torch.uint64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
}


def read_npy(file: Path) -> Tensor:
    """The array of an .npy file: a magic number, the length of a header, the header, the values."""
    with open(file, "rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError("it is no .npy file")
        version, _ = stream.read(2)
        length = int.from_bytes(stream.read(2 if version == 1 else 4), "little")
        header = ast.literal_eval(stream.read(min(length, 10_000)).decode("latin-1"))
        order, kind, shape = header["descr"][0], header["descr"][1:], header["shape"]
        if kind not in NUMBERS:
            raise ValueError(f"the array holds {header['descr']}, neither integers nor floats")
        data = stream.read()
    size = int(kind[1:])
    if math.prod(shape) * size != len(data) or not data:
        raise ValueError(f"its header tells of {kind} {shape}, and {len(data):,} bytes follow")
    values = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, size)
    values = (values.flip(1) if order == ">" else values).contiguous().view(NUMBERS[kind])
    if header["fortran_order"]:
        return values.reshape(shape[::-1]).permute(*reversed(range(len(shape))))
    return values.reshape(shape)


# ]
