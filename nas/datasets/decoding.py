"""From the images of a source to the decoded files of a dataset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from nas.datasets.convert import Picture, Remark, convert
from nas.datasets.deep import Pixels
from nas.datasets.image_files import allowing
from nas.datasets.npy import ImageFile
from nas.datasets.source import SPLITS, Listing, Settings
from nas.errors import DataError

Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""

BROKEN = -1
"""The split of an image that cannot be read."""

THREADS = min(8, os.cpu_count() or 1)
AT_ONCE = 64
"""Images decoded before any of them is written: bounds the memory."""
HUGE = 1 << 25
"""Pixels. Larger images are decoded one after another, since each may take a gigabyte."""
WORTH_A_THREAD = 128 * 128
"""Pixels. Smaller images would take longer in threads, which then mostly wait for the interpreter's lock."""


@dataclass(frozen=True)
class Decoded:
    """What `decode` has written."""

    shape: tuple[int, int, int]
    """(channels, height, width)"""
    bits: int
    """Of a value: 8 or 16."""
    splits: NDArray[np.int8]
    """The split of every image of the listing, as an index into SPLITS, or BROKEN."""
    notes: tuple[str, ...]
    skipped: tuple[str, ...]
    """A note on the images that are broken."""
    sizes: dict[tuple[int, int], int]
    """How many images came in each (width, height)."""


class SizesDiffer(DataError):
    """Images of more sizes than one, and none asked for."""


def decode(
    listing: Listing, splits: NDArray[np.int8], folder: Path, settings: Settings, progress: Progress | None
) -> Decoded:
    """Write the images and labels of every split into `folder`, each in the order of the listing.

    All become RGB where any is coloured, else grey; native ones are all alike.

    Raises:
        DataError: an image is broken and not to be skipped, or sizes differ and are not to be changed.
        OSError: the folder cannot be written.
    """
    splits = splits.copy()
    sizes: Counter[tuple[int, int]] = Counter()
    grey = 0
    remarks: Counter[Remark] = Counter()
    broken: list[str] = []
    writer = _SplitWriter(listing.place, folder, settings.native)
    try:
        with allowing(settings.max_pixels, settings.rules):
            for index, picture in enumerate(_pictures(listing, settings, progress)):
                name = listing.names[index]
                if isinstance(picture, Picture):
                    writer.append(splits[index], picture.pixels, name)
                    sizes[picture.size] += 1
                    grey += picture.pixels.shape[-1] == 1
                    remarks.update(picture.remarks)
                elif settings.skip_broken:
                    splits[index] = BROKEN
                    broken.append(name)
                else:
                    reason = " ".join(str(picture).split()).rstrip(".") or type(picture).__name__
                    way_out = "Repair it, remove it, or leave such images out with --skip-broken."
                    raise DataError(
                        f"{listing.place}: {name} cannot be read: {reason}. {way_out}"
                    ) from picture
    finally:
        writer.close()
    if not sizes:
        raise DataError(f"{listing.place}: none of the {len(broken)} images can be read.")
    for split, name in enumerate(SPLITS):
        np.save(folder / f"{name}_labels.npy", listing.labels[splits == split])
    height, width, channels = writer.shape
    notes = [f"{_count(number, kind)} {done}" for (kind, done), number in sorted(remarks.items())]
    if grey and channels == 3:
        notes.append(f"{_count(grey, 'grey image')} stored as RGB like the others")
    if settings.image_size is not None and {*sizes} != {(width, height)}:
        stored = "{}x{}".format(*next(iter(sizes))) if len(sizes) == 1 else f"{len(sizes)} sizes"
        notes.append(f"images of {stored} cropped to a square and resized to {width}x{height}")
    skipped: list[str] = []
    if broken:
        examples = ", ".join(broken[:3]) + (" and others" if len(broken) > 3 else "")
        skipped.append(f"{_count(len(broken), 'broken image')} skipped: {examples}")
    return Decoded((channels, height, width), writer.bits, splits, tuple(notes), tuple(skipped), dict(sizes))


class _SplitWriter:
    """The image files of all splits, opened once the first image tells their shape."""

    def __init__(self, place: str, folder: Path, native: bool) -> None:
        self.shape = (0, 0, 0)
        """(height, width, channels)"""
        self.bits = 8
        self._native = native
        self._place = place
        self._folder = folder
        self._files: list[ImageFile] = []
        self._first = ""

    def append(self, split: int, pixels: Pixels, name: str) -> None:
        height, width, channels = pixels.shape
        if not self._files:
            self.shape = (height, width, channels)
            self._first = name
            self.bits = 8 * pixels.itemsize
            paths = [self._folder / f"{split}_images.npy" for split in SPLITS]
            self._files = [ImageFile(path, self.shape, pixels.dtype) for path in paths]
        if (height, width) != self.shape[:2]:
            raise SizesDiffer(
                f"{self._place}: images differ in size: {self._first} is {self.shape[1]}x{self.shape[0]}, "
                f"{name} is {width}x{height} (width x height). Bring them to one size with --image-size N."
            )
        if self._native and (channels, pixels.itemsize) != (self.shape[2], self.bits // 8):
            raise DataError(
                f"{self._place}: images differ in depth: {self._first} has"
                f" {_depth(self.shape[2], self.bits)}, {name} has {_depth(channels, 8 * pixels.itemsize)}."
                " Bring them to one, or reduce them all with --depth 8bit."
            )
        if channels > self.shape[2]:  # the first coloured image after grey ones
            self.shape = (height, width, channels)
            self._files = [file.widened() for file in self._files]
        self._files[split].append(np.broadcast_to(pixels, self.shape)[None])

    def close(self) -> None:
        for file in self._files:
            file.close()


def _pictures(
    listing: Listing, settings: Settings, progress: Progress | None
) -> Iterator[Picture | Exception]:
    """All images in order, each decoded, or the reason why it cannot be."""
    alone = Lock()

    def picture(index: int) -> Picture | Exception:
        try:
            opened = listing.read(index)
            if isinstance(opened, np.ndarray):
                return convert(opened, settings.image_size)
            with opened as image, alone if image.width * image.height > HUGE else nullcontext():
                return convert(image, settings.image_size, settings.rules, native=settings.native)
        except Exception as error:  # the decoders of the many formats raise almost anything
            return error

    total = len(listing.names)
    with ThreadPoolExecutor(THREADS) as pool:
        large = False
        for start in range(0, total, AT_ONCE):
            stop = min(start + AT_ONCE, total)
            pictures = list((pool.map if large else map)(picture, range(start, stop)))
            yield from pictures
            large = any(isinstance(each, Picture) and each.pixel_count >= WORTH_A_THREAD for each in pictures)
            if progress is not None:
                progress(stop, total)


def _count(number: int, noun: str) -> str:
    """Such as "1 RGBA image" or "1,200 grey images"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _depth(channels: int, bits: int) -> str:
    """Such as "3 channels of 8 bits"."""
    return f"{_count(channels, 'channel')} of {bits} bits"
