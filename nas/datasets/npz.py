"""Images in a NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nas.datasets.files import FileEntry, digest_files
from nas.datasets.source import SPLITS, Listing
from nas.errors import DataError
from nas.space import AUGMENTATIONS

Arrays = dict[str, NDArray[Any]]


class Npz:
    """An .npz file with `images` and `labels`, or `train_images`, `train_labels`, `test_images` and so on.

    Images are (n, height, width) or (n, height, width, channels) with 1, 3 or 4 channels: integers in 0..255,
    or floats in [0, 1] or [0, 255]. Labels are the integers 0..k-1. The arrays are read into memory.
    """

    augmentations = AUGMENTATIONS

    def __init__(self, path: Path) -> None:
        """Raises DataError where there is no such file."""
        if not path.is_file():
            raise DataError(f"No dataset at {path}: there is no such file.")
        self.name = path.stem
        self._place = str(path)
        self._path = path

    def key(self) -> str:
        return digest_files([FileEntry.of(self._place, self._path.stat())])

    def list_images(self) -> Listing:
        from PIL import Image

        arrays = self._load()
        prefixes = {f"{split}_": code for code, split in enumerate(SPLITS) if f"{split}_images" in arrays}
        if "images" in arrays:
            prefixes = {"": 0}
        if not prefixes:
            self._refuse(f"it needs the arrays images and labels, and holds {', '.join(arrays) or 'none'}")
        pixels, notes = self._to_uint8([self._images(arrays, f"{prefix}images") for prefix in prefixes])
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
            read=lambda index: Image.fromarray(pictures[index]),
            notes=notes,
        )

    def _load(self) -> Arrays:
        try:
            with np.load(self._path, allow_pickle=False) as archive:
                return dict(archive)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self._place} is no readable .npz file: {error}.") from error

    def _images(self, arrays: Arrays, name: str) -> NDArray[Any]:
        """As stored, a single channel without its dimension."""
        images = arrays[name]
        expected = "it must be (n, height, width) or (n, height, width, channels) with 1, 3 or 4 channels"
        if images.dtype.kind not in "buif":
            self._refuse(f"{name} holds {images.dtype}; it must hold integers or floats")
        if not images.size or images.ndim not in (3, 4):
            self._refuse(f"{name} is {images.shape}; {expected}")
        if images.ndim == 4 and images.shape[3] not in (1, 3, 4):
            hint = ", so transpose(0, 2, 3, 1)" if images.shape[1] in (1, 3, 4) else ""
            self._refuse(f"{name} is {images.shape}; {expected}{hint}")
        return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images

    def _to_uint8(self, parts: list[NDArray[Any]]) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
        low, high = min(part.min() for part in parts), max(part.max() for part in parts)
        if not (low >= 0 and high <= 255):  # so written, NaN is refused too
            allowed = "integers must lie in 0..255, floats in [0, 1] or [0, 255]"
            self._refuse(f"image values range from {low:g} to {high:g}; {allowed}")
        if high <= 1 and all(part.dtype.kind in "bf" for part in parts):
            scaled = [np.rint(part * 255.0).astype(np.uint8) for part in parts]
            return scaled, ("image values in [0, 1] scaled to 0..255",)
        return [np.rint(part).astype(np.uint8) for part in parts], ()

    def _labels(self, arrays: Arrays, name: str, count: int) -> NDArray[np.int64]:
        if name not in arrays:
            self._refuse(f"it has no array {name}")
        labels = arrays[name]
        if labels.dtype.kind not in "ui" or labels.shape not in ((count,), (count, 1)):
            self._refuse(f"{name} is {labels.dtype} {labels.shape}; it must be {count} integers")
        return labels.reshape(count).astype(np.int64)

    def _classes(self, labels: NDArray[np.int64]) -> tuple[str, ...]:
        present = np.unique(labels)
        if present[0] < 0:
            self._refuse(f"there is a label {present[0]}; labels must be 0..k-1")
        for gap in np.setdiff1d(np.arange(present[-1] + 1), present):
            self._refuse(f"no image has label {gap}, but one has {present[-1]}; labels must be 0..k-1")
        return tuple(str(label) for label in present)

    def _refuse(self, reason: str) -> NoReturn:
        raise DataError(f"{self._place}: {reason}.")
