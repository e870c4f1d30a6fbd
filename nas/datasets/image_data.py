"""A dataset as a search sees it: decoded images in memory-mapped files, and what is known about them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nas.datasets.checksums import check_test
from nas.datasets.rules import rules_of
from nas.errors import StorageError
from nas.space import DataInfo

INFO = "info.json"


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split, mapped read-only from disk: any number of processes share one copy."""

    images: NDArray[Any]
    """uint8, or uint16 where `info.bits` is 16: (n, height, width, channels)"""
    labels: NDArray[np.int64]
    """(n,): indices into the dataset's classes."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class ImageData:
    """A decoded dataset. It is its folder: a worker opens it from there and needs nothing else."""

    folder: Path
    info: DataInfo
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Per channel, of the training images scaled to [0, 1]."""
    std: tuple[float, ...]
    """As `mean`; never 0."""
    counts: dict[str, int]
    """Images of "train", "val" and "test"."""
    class_counts: dict[str, tuple[int, ...]]
    """Images of every class in "train", "val" and "test"."""
    fingerprint: str
    """Hexadecimal digest of the pixels and labels of all splits."""
    split_digest: str
    """Hexadecimal digest of which image went to which split."""
    notes: tuple[str, ...]
    """What was done to the images that their owner may want to know: "12 RGBA images blended onto black"."""
    rules: int
    """By which they were listed and decoded: see `nas.datasets.rules`."""
    native: bool = False
    """Whether bits and channels were kept as they came."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the decoded dataset that lies in `folder`.

        Raises:
            StorageError: none lies there any more.
        """
        try:
            return cls._of(folder, json.loads((folder / INFO).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            way_out = "Delete it if it is there, and start again."
            raise StorageError(f"The cache folder {folder} is gone or damaged. {way_out}") from error

    @classmethod
    def _of(cls, folder: Path, fields: dict[str, Any]) -> Self:
        info: dict[str, Any] = fields["info"]
        info |= {"shape": tuple(info["shape"]), "augmentations": tuple(info["augmentations"])}
        return cls(
            folder=folder,
            info=DataInfo(**info),
            classes=tuple(fields["classes"]),
            mean=tuple(fields["mean"]),
            std=tuple(fields["std"]),
            counts=fields["counts"],
            class_counts={split: tuple(counts) for split, counts in fields["class_counts"].items()},
            fingerprint=fields["fingerprint"],
            split_digest=fields["split_digest"],
            notes=tuple(fields["notes"]),
            rules=rules_of(fields),
            native=fields.get("native", False),
        )

    def save(self) -> None:
        """Write into the folder what `open` reads; the arrays lie there already."""
        fields = asdict(self)
        del fields["folder"]
        (self.folder / INFO).write_text(json.dumps(fields, indent=1), encoding="utf-8")

    @property
    def train(self) -> Split:
        """The training split."""
        return self._split("train")

    @property
    def val(self) -> Split:
        """The validation split, by which a search chooses."""
        return self._split("val")

    def open_test(self) -> Split:
        """The test split, in files of its own: nothing else opens them, and a search never calls this.

        Raises:
            StorageError: they are damaged, or gone.
        """
        check_test(self.folder)
        return self._split("test")

    @property
    def imbalance(self) -> float:
        """Images of the largest training class for each one of the smallest: 1 for a balanced dataset."""
        return max(self.class_counts["train"]) / min(self.class_counts["train"])

    def _split(self, name: str) -> Split:
        try:
            images = np.load(self.folder / f"{name}_images.npy", mmap_mode="r")
            labels = np.load(self.folder / f"{name}_labels.npy", mmap_mode="r")
            channels, height, width = self.info.shape
            if (*images.shape, *labels.shape) != (
                self.counts[name],
                height,
                width,
                channels,
                self.counts[name],
            ):
                raise ValueError(f"its files hold arrays of {images.shape} and {labels.shape}")
            if images.dtype.itemsize * 8 != self.info.bits:
                raise ValueError(f"its images are {images.dtype}")
        except (OSError, ValueError) as error:
            way_out = f"Delete {self.folder} and start again."
            raise StorageError(f"The decoded {name} split cannot be read: {error}. {way_out}") from error
        return Split(images, labels)
