"""Images in a NumPy archive."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import psutil
from numpy.lib import format as npy
from numpy.typing import NDArray

from nas.datasets.files import FileEntry, digest_files, why_not
from nas.datasets.npy import BLOCK
from nas.datasets.source import SPLITS, Listing
from nas.errors import DataError
from nas.machine.files import absolute
from nas.space import AUGMENTATIONS

if TYPE_CHECKING:
    from nas.datasets.deep import Pixels

SUFFIXES = (".npz",)

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""By version. A third one is for names of fields, which images do not have."""

TIGHT = 500
"""Bytes out of one byte: tighter than any images are packed. Drawings in black and white come to 120."""
HARMLESS = 1 << 26
"""Bytes that may come out of however few."""
PER_IMAGE = 300
"""Bytes that an image takes beside its pixels: its name, its label, and what Python needs to hold them."""


OPTIONS = ("native",)


def open(source: str, downloads: Path, rules: int, native: bool = False) -> Npz:
    """Raises DataError where there is no such file."""
    return Npz(absolute(source), native)


class Npz:
    """An .npz file with `images` and `labels`, or `train_images`, `train_labels`, `test_images` and so on.

    Images are (n, height, width) or (n, height, width, channels) with 1, 3 or 4 channels: integers in 0..255,
    or floats in [0, 1] or [0, 255]; native ones, of any number of channels, integers in 0..65535 or floats in
    [0, 1]. Labels are the integers 0..k-1. The arrays are read into memory.
    """

    augmentations = AUGMENTATIONS

    def __init__(self, path: Path, native: bool = False) -> None:
        """Raises DataError where there is no such file."""
        if not path.is_file():
            raise DataError(f"No dataset at {path}: {why_not(path, 'file')}.")
        self.name = path.stem
        self._place = str(path)
        self._path = path
        self._native = native

    def key(self) -> str:
        return digest_files([FileEntry.of(self._place, self._path.stat())])

    def list_images(self) -> Listing:
        from PIL import Image

        prefixes, arrays = self._load()
        parts = [self._images(arrays, f"{prefix}images") for prefix in prefixes]
        pixels, notes = (self._kept(parts), ()) if self._native else self._to_uint8(parts)
        counts = [len(part) for part in pixels]
        labels = np.concatenate(
            [
                self._labels(arrays, f"{prefix}labels", count)
                for prefix, count in zip(prefixes, counts, strict=True)
            ]
        )
        pictures = [picture for part in pixels for picture in part]
        return Listing(
            place=self._place,
            classes=self._classes(labels),
            labels=labels,
            splits=np.repeat(np.array(list(prefixes.values()), np.int8), counts),
            names=[
                f"{prefix}images[{row}]"
                for prefix, count in zip(prefixes, counts, strict=True)
                for row in range(count)
            ],
            read=lambda index: pictures[index] if self._native else Image.fromarray(pictures[index]),
            notes=notes,
        )

    def _load(self) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """The prefixes of the names of arrays with the split of each, and the arrays of images and labels."""
        try:
            with zipfile.ZipFile(self._path) as archive:
                held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
                prefixes = {
                    f"{split}_": code for code, split in enumerate(SPLITS) if f"{split}_images" in held
                }
                if "images" in held:
                    prefixes = {"": 0}
                if not prefixes:
                    listing = ", ".join(held) or "none"
                    self._refuse(f"it needs the arrays images and labels, and holds {listing}")
                names = [f"{prefix}{kind}" for prefix in prefixes for kind in ("images", "labels")]
                wanted = [name for name in names if name in held]
                needed = sum(_needed(archive, name, self._path.stat().st_size) for name in wanted)
                there = psutil.virtual_memory().available
                if needed > there:
                    self._refuse(
                        f"reading it needs {needed / 2**30:,.1f} GiB of memory, and {there / 2**30:,.1f} GiB "
                        "are free; a folder of class folders needs less"
                    )
                return prefixes, {name: _read(archive, name) for name in wanted}
        except DataError:
            raise
        except Exception as error:  # zipfile, its decoders and NumPy raise almost anything
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise DataError(f"{self._place} is no readable .npz file: {reason}.") from error

    def _images(self, arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
        """As stored, a single channel without its dimension."""
        images = arrays[name]
        expected = "it must be (n, height, width) or (n, height, width, channels) with 1, 3 or 4 channels"
        if images.dtype.kind not in "buif":
            self._refuse(f"{name} holds {images.dtype}; it must hold integers or floats")
        if not images.size or images.ndim not in (3, 4):
            self._refuse(f"{name} is {images.shape}; {expected}")
        if self._native:
            return images
        if images.ndim == 4 and images.shape[3] not in (1, 3, 4):
            hint = ", so transpose(0, 2, 3, 1)" if images.shape[1] in (1, 3, 4) else ""
            deep = "; --depth native takes any number" if not hint else ""
            self._refuse(f"{name} is {images.shape}; {expected}{hint}{deep}")
        return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images

    def _kept(self, parts: list[NDArray[Any]]) -> list[Pixels]:
        from nas.datasets.deep import check_order, kept_values

        try:
            for part in parts:
                check_order(part.shape if part.ndim == 4 else part.shape[1:])
            return [kept_values(part) for part in parts]
        except ValueError as error:
            self._refuse(str(error))

    def _to_uint8(self, parts: list[NDArray[Any]]) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
        low, high = min(part.min() for part in parts), max(part.max() for part in parts)
        if not (low >= 0 and high <= 255):  # so written, NaN is refused too
            allowed = "integers must lie in 0..255, floats in [0, 1] or [0, 255]"
            deep = "; --depth native keeps those up to 65535" if 255 < high <= 65535 and low >= 0 else ""
            self._refuse(f"image values range from {low:g} to {high:g}; {allowed}{deep}")
        if high <= 1 and all(part.dtype.kind in "bf" for part in parts):
            return [_rounded(part, 255.0) for part in parts], ("image values in [0, 1] scaled to 0..255",)
        return [part if part.dtype == np.uint8 else _rounded(part, 1) for part in parts], ()

    def _labels(self, arrays: Mapping[str, NDArray[Any]], name: str, count: int) -> NDArray[np.int64]:
        if name not in arrays:
            self._refuse(f"it has no array {name}")
        labels = arrays[name]
        if labels.dtype.kind not in "ui" or labels.shape not in ((count,), (count, 1)):
            self._refuse(f"{name} is {labels.dtype} {labels.shape}; it must be {count} integers")
        if labels.max() > np.iinfo(np.int64).max:
            self._refuse(f"there is a label {labels.max()}; labels must be 0..k-1")
        return labels.reshape(count).astype(np.int64)

    def _classes(self, labels: NDArray[np.int64]) -> tuple[str, ...]:
        present = np.unique(labels)
        if present[0] < 0:
            self._refuse(f"there is a label {present[0]}; labels must be 0..k-1")
        for gap in np.flatnonzero(present != np.arange(len(present))):
            self._refuse(f"no image has label {gap}, but one has {present[-1]}; labels must be 0..k-1")
        return tuple(str(label) for label in present)

    def _refuse(self, reason: str) -> NoReturn:
        raise DataError(f"{self._place}: {reason}.")


def _needed(archive: zipfile.ZipFile, name: str, size: int) -> int:
    """Bytes of memory for an array of an archive of `size` bytes, whose header may lie.

    Raises:
        ValueError: it does lie, or asks for what no honest archive asks for.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        if version not in HEADERS:
            raise ValueError(f"{name} is of version {version[0]}.{version[1]} of the .npy format")
        shape, _, dtype = HEADERS[version](stream)
        held = member.file_size - stream.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are not read because they may run code")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"the header of {name} tells of {dtype} {shape}, and {held:,} bytes follow")
    count = shape[0] if shape else 1
    tight = held > TIGHT * member.compress_size or member.compress_size > size
    if tight and held + PER_IMAGE * count > HARMLESS:
        raise ValueError(
            f"{held:,} bytes of {name} are packed into {min(member.compress_size, size):,}, tighter than "
            "images are; if they are meant, write them with numpy.savez"
        )
    return int(held + PER_IMAGE * count)


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _rounded(part: NDArray[Any], factor: float) -> NDArray[np.uint8]:
    """uint8 from values that are in 0..255 with `factor`, some at a time: floats take eight times more."""
    out = np.empty(part.shape, np.uint8)
    rows = max(1, BLOCK // part[:1].nbytes)
    for start in range(0, len(part), rows):
        block = slice(start, start + rows)
        out[block] = np.rint(part[block] * factor)
    return out
