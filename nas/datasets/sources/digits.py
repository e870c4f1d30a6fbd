"""The 1,797 handwritten digits of scikit-learn, 8x8 grey: no download, and trained on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.datasets.source import NO_FLIP, Listing

NAMES = ("digits",)


def open(source: str, downloads: Path, rules: int) -> Digits:
    """They lie in scikit-learn itself."""
    return Digits()


class Digits:
    """`sklearn.datasets.load_digits`: the test set of UCI's Optical Recognition of Handwritten Digits."""

    name = "digits"
    augmentations = NO_FLIP

    def key(self) -> str:
        return "the same for ever"

    def list_images(self) -> Listing:
        from PIL import Image
        from sklearn.datasets import load_digits

        data = load_digits()
        pixels = np.round(data.images * (255 / 16)).astype(np.uint8)  # 17 shades, 0..16
        return Listing(
            place=self.name,
            classes=tuple(str(digit) for digit in data.target_names),
            labels=data.target.astype(np.int64),
            splits=np.zeros(len(pixels), np.int8),
            names=[f"digit {index}" for index in range(len(pixels))],
            read=lambda index: Image.fromarray(pixels[index]),
        )
