"""What is worked out once from the decoded files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.npy import blocks
from nas.datasets.source import SPLITS


def mean_and_std(images: NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel of images (n, height, width, channels), scaled to [0, 1].

    Exact, from counts of the 256 values, or 65,536. The deviation of a constant channel is given as 1, so
    that dividing by it is harmless.
    """
    levels = np.iinfo(images.dtype).max + 1
    counts = np.zeros((images.shape[-1], levels), np.int64)
    for block in blocks(images):
        for channel, of_channel in enumerate(counts):
            of_channel += np.bincount(block[..., channel].ravel(), minlength=levels)
    values = np.arange(levels) / (levels - 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    variance = (shares * (values - mean[:, None]) ** 2).sum(axis=1)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def fingerprint(folder: Path) -> str:
    """Hexadecimal digest of the pixels and labels of all splits in a folder of decoded files."""
    digest = hashlib.sha256()
    for split in SPLITS:
        images = np.load(folder / f"{split}_images.npy", mmap_mode="r")
        labels = np.load(folder / f"{split}_labels.npy")
        kind = "" if images.dtype == np.uint8 else f" {images.dtype}"
        digest.update(f"{split} {images.shape}{kind}".encode())
        digest.update(labels.astype("<i8").tobytes())
        for block in blocks(images):
            digest.update(block.data)
    return digest.hexdigest()
