"""A look at a dataset before a search: images that are there twice, show nothing, or are resized."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from nas.datasets.image_data import ImageData, Split
from nas.datasets.npy import blocks
from nas.datasets.origin import Size, names_of, sizes_of
from nas.datasets.source import SPLITS

FLAT = 0.01
"""Standard deviation of the values of an image, of their whole range, under which it is nearly constant."""

EXAMPLES = 5


class Image(NamedTuple):
    """One image of a dataset."""

    split: str
    name: str
    label: int


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is found."""

    copies: tuple[tuple[Image, ...], ...]
    """Images with the same pixels, as they are trained on, in the order of the splits."""
    flat: tuple[Image, ...]
    """Images of nearly one colour."""
    sizes: dict[Size, int]
    """How many images came in each (width, height), if that is known."""
    resized: int | None
    """How many of them had another size than they have now, if that is known."""

    @property
    def within(self) -> dict[str, int]:
        """By split, the images that are there before, in the same split."""
        counts = dict.fromkeys(SPLITS, 0)
        for group in self.copies:
            for split in {image.split for image in group}:
                counts[split] += sum(image.split == split for image in group) - 1
        return counts

    @property
    def leaks(self) -> dict[tuple[str, str], int]:
        """By two splits, the images of the second that are in the first as well."""
        counts = dict.fromkeys(combinations(SPLITS, 2), 0)
        for group in self.copies:
            held = {split: sum(image.split == split for image in group) for split in SPLITS}
            for first, second in counts:
                counts[first, second] += held[second] if held[first] else 0
        return counts

    @property
    def contradictions(self) -> tuple[tuple[Image, ...], ...]:
        """Copies with more than one label."""
        return tuple(group for group in self.copies if len({image.label for image in group}) > 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values: all counts, and a few examples of each."""
        return {
            "sizes": [
                {"width": width, "height": height, "images": count}
                for (width, height), count in self.sizes.items()
            ]
            or None,
            "resized": self.resized,
            "duplicates": {
                "within": self.within,
                "across": {f"{first}-{second}": count for (first, second), count in self.leaks.items()},
                "with_several_labels": len(self.contradictions),
                "examples": [
                    [f"{image.split}: {image.name}" for image in group] for group in self.copies[:EXAMPLES]
                ],
            },
            "nearly_constant": {
                "images": len(self.flat),
                "examples": [f"{image.split}: {image.name}" for image in self.flat[:EXAMPLES]],
            },
        }


def look(data: ImageData) -> Look:
    """All pixels are read, those of the test images too: none of them chooses anything.

    Raises:
        StorageError: the decoded files are damaged.
    """
    alike: dict[bytes, list[Image]] = defaultdict(list)
    flat: list[Image] = []
    splits: dict[str, Split] = {"train": data.train, "val": data.val, "test": data.open_test()}
    for name, split in splits.items():
        names = iter(zip(names_of(data.folder, name, len(split)), split.labels.tolist(), strict=True))
        for block in blocks(split.images):
            spread = block.reshape(len(block), -1).std(axis=1, dtype=np.float32) / np.iinfo(block.dtype).max
            for pixels, deviation in zip(block, spread.tolist(), strict=True):
                image = Image(name, *next(names))
                alike[hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()].append(image)
                if deviation < FLAT:
                    flat.append(image)
    _, height, width = data.info.shape
    sizes = sizes_of(data.folder)
    return Look(
        copies=tuple(tuple(group) for group in alike.values() if len(group) > 1),
        flat=tuple(flat),
        sizes=sizes,
        resized=sum(count for size, count in sizes.items() if size != (width, height)) if sizes else None,
    )
