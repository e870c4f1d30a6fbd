"""An .npy file of images that grows as they come, so that memory never holds a whole dataset.

Written with plain writes rather than through a memory map: on a full disk a write raises an error, where a
map kills the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

BLOCK = 1 << 24
"""Bytes handled at once when a whole file is read."""


class ImageFile:
    """A new .npy file of images that all have one shape, uint8 or uint16."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: DTypeLike = np.uint8) -> None:
        """`shape` is (height, width, channels)."""
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.count = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, images: NDArray[Any]) -> None:
        """Add images (n, height, width, channels)."""
        assert images.shape[1:] == self.shape
        self._file.write(np.ascontiguousarray(images, self.dtype).data)
        self.count += len(images)

    def close(self) -> None:
        """Complete the file: only now its header tells its length."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def widened(self) -> ImageFile:
        """Grey to RGB: a file with the same images, in the place of this one, that goes on growing."""
        self.close()
        wide = ImageFile(self.path.with_suffix(".rgb"), (*self.shape[:2], 3))
        _copy_widened(self.path, wide)
        os.replace(wide.path, self.path)
        wide.path = self.path
        return wide

    def _write_header(self) -> None:
        # NumPy pads the header, so that one with a larger first dimension has the same length
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        npy.write_array_header_1_0(self._file, header)


def blocks(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The images (n, height, width, channels), at most BLOCK bytes at a time, one image at least."""
    rows = max(1, BLOCK // max(1, images[:1].nbytes))
    for start in range(0, len(images), rows):
        yield images[start : start + rows]


def _copy_widened(grey: Path, wide: ImageFile) -> None:
    for block in blocks(np.load(grey, mmap_mode="r")):
        wide.append(np.repeat(block, 3, axis=-1))
