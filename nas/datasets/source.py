"""The seam between images anywhere and the rest.

A new kind of source is one file of `nas/datasets/sources/`, or a module that another distribution offers by
an entry point of the group `nas.datasets`. It holds `open`, and says what it opens by one of the others:

    open(source: str, downloads: Path, rules: int) -> Source
        `source` is what the user has written; `downloads`, where downloads lie or are put; `rules`, see there
    NAMES: Sequence[str]
        names of datasets; of an entry point, its own name is the only one
    SUFFIXES: Sequence[str]
        of files that are its own, whatever is in them, such as ".npz"
    takes(source: str) -> bool
        whether a path, or any other text, bears its mark, as what lies there tells
    SINCE: int
        the first rules under which it takes a folder; under those before, that was one of class folders
    OPTIONS: Sequence[str]
        which of "columns", "root" and "native" `open` takes besides, by keyword: a mapping of texts, a path
        or None, and whether it may give arrays, of which all bits and channels are kept
    pinned(source: str) -> str
        what finds the very same images for ever, of a text that may come to mean others; a study keeps it
    called(source: str) -> str
        a short name for a text whose last part is none

What more than one source takes is refused, and what none takes is a folder of class folders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from nas.space import AUGMENTATIONS

if TYPE_CHECKING:  # opening decoded images must not wait for Pillow
    from PIL import Image

SPLITS = ("train", "val", "test")

NO_FLIP = tuple(name for name in AUGMENTATIONS if "flip" not in name)
"""For digits, characters and signs: mirrored, they are others, or none."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user chooses about the decoding of a source."""

    split_seed: int
    image_size: int | None
    """Side in pixels of the square that every image is brought to; None keeps images as they are."""
    skip_broken: bool
    max_pixels: int
    """Width times height of the largest image that is read."""
    rules: int
    """See `nas.datasets.rules`."""
    native: bool = field(default=False, repr=False)
    """Keep 16 bits and as many channels as there are. Not shown: folders of 8 bits keep their names."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The images of a source, not decoded yet. Labels, splits and names have one item per image."""

    place: str
    """What a message calls the source: its path, or its name."""
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    """Indices into `classes`."""
    splits: NDArray[np.int8]
    """The split that each image comes in, as an index into SPLITS. Without splits, all are in train."""
    names: Sequence[str]
    """What a message calls each image, such as its relative path. Unique: splits are drawn by name."""
    read: Callable[[int], Image.Image | NDArray[Any]]
    """Opens one image, of any mode and size, in any thread. Whatever it raises means a broken image. An array
    is (height, width) or (height, width, channels), and only where a source was opened as native."""
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    """Of images that must not be in two splits, such as those of one patient, the same number."""
    lacks: tuple[str, ...] = ()
    """What the source tells of and does not have, such as "3 of 60 images are not there", which is refused
    unless it is to be skipped."""

    def of(self, rows: NDArray[np.int64]) -> Self:
        """These images alone."""
        names = [self.names[row] for row in rows]
        read = self.read
        return replace(
            self,
            labels=self.labels[rows],
            splits=self.splits[rows],
            names=names,
            read=lambda index: read(rows[index]),
            groups=None if self.groups is None else self.groups[rows],
        )


class Source(Protocol):
    """Something that images can be read from. To make one costs no more than listing files."""

    @property
    def name(self) -> str:
        """Short: the name of a known dataset, or the last part of a path."""

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Which of `nas.space.AUGMENTATIONS` leave the class of an image unchanged."""

    def key(self) -> str:
        """Another one as soon as what would be read has changed; found without reading it."""

    def list_images(self) -> Listing:
        """All images with their labels, downloaded first where need be.

        Raises:
            DataError: there is nothing to read, or it makes no dataset.
        """
