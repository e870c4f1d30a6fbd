"""The classification datasets of torchvision, by name: read where they lie, or downloaded by torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.files import FileEntry, digest_files, walk
from nas.datasets.source import NO_FLIP, SPLITS, Listing
from nas.errors import DataError
from nas.space import AUGMENTATIONS

ALL = AUGMENTATIONS
COLOURS = ("brightness", "contrast", "noise")

Arguments = Mapping[str, Any]


def _splits(**values: str) -> dict[str, Arguments]:
    return {split: {"split": value} for split, value in values.items()}


BY_TRAIN: dict[str, Arguments] = {"train": {"train": True}, "test": {"train": False}}
BY_SPLIT = _splits(train="train", test="test")
BY_SPLIT_AND_VAL = _splits(train="train", val="val", test="test")
VAL_AS_TEST = _splits(train="train", test="val")
"""For sets whose test images are missing or have no labels."""
WHOLE: dict[str, Arguments] = {"train": {}}


@dataclass(frozen=True)
class VisionSet:
    """How one class of `torchvision.datasets` is read."""

    factory: str
    """Its name there."""
    files: str
    """What it reads below the data folder: a folder, a file, or a pattern of several files."""
    splits: Mapping[str, Arguments]
    """From our splits to its arguments."""
    augmentations: tuple[str, ...]
    arguments: Arguments = field(default_factory=dict)
    """Its arguments for every split."""
    offers_download: bool = True


def _emnist(split: str) -> VisionSet:
    return VisionSet("EMNIST", "EMNIST/raw", BY_TRAIN, NO_FLIP, {"split": split})


SETS = {
    "caltech101": VisionSet("Caltech101", "caltech101", WHOLE, ALL),
    "caltech256": VisionSet("Caltech256", "caltech256", WHOLE, ALL),
    "cifar10": VisionSet("CIFAR10", "cifar-10-batches-py", BY_TRAIN, ALL),
    "cifar100": VisionSet("CIFAR100", "cifar-100-python", BY_TRAIN, ALL),
    # objects are counted: moved out of the picture or covered, one is missing
    "clevr": VisionSet("CLEVRClassification", "clevr", VAL_AS_TEST, ("flip", "alternating_flip", *COLOURS)),
    "country211": VisionSet(
        "Country211", "country211", _splits(train="train", val="valid", test="test"), ALL
    ),
    "dtd": VisionSet("DTD", "dtd", BY_SPLIT_AND_VAL, ALL),
    "emnist_balanced": _emnist("balanced"),
    "emnist_byclass": _emnist("byclass"),
    "emnist_bymerge": _emnist("bymerge"),
    "emnist_digits": _emnist("digits"),
    "emnist_letters": _emnist("letters"),
    "eurosat": VisionSet("EuroSAT", "eurosat", WHOLE, ALL),
    "fashion_mnist": VisionSet("FashionMNIST", "FashionMNIST/raw", BY_TRAIN, ALL),
    "fer2013": VisionSet("FER2013", "fer2013", BY_SPLIT, ALL, offers_download=False),
    "fgvc_aircraft": VisionSet("FGVCAircraft", "fgvc-aircraft-2013b", BY_SPLIT_AND_VAL, ALL),
    "flowers102": VisionSet("Flowers102", "flowers-102", BY_SPLIT_AND_VAL, ALL),
    "food101": VisionSet("Food101", "food-101", BY_SPLIT, ALL),
    "gtsrb": VisionSet("GTSRB", "gtsrb", BY_SPLIT, NO_FLIP),
    "imagenette": VisionSet("Imagenette", "imagenette2-160", VAL_AS_TEST, ALL, {"size": "160px"}),
    "kmnist": VisionSet("KMNIST", "KMNIST/raw", BY_TRAIN, NO_FLIP),
    "mnist": VisionSet("MNIST", "MNIST/raw", BY_TRAIN, NO_FLIP),
    "oxford_iiit_pet": VisionSet(
        "OxfordIIITPet", "oxford-iiit-pet", _splits(train="trainval", test="test"), ALL
    ),
    "pcam": VisionSet("PCAM", "pcam", BY_SPLIT_AND_VAL, ALL),
    "qmnist": VisionSet("QMNIST", "QMNIST/raw", BY_TRAIN, NO_FLIP),
    # sentences: what is covered may be the word that matters
    "rendered_sst2": VisionSet("RenderedSST2", "rendered-sst2", BY_SPLIT_AND_VAL, ("shift", *COLOURS)),
    "semeion": VisionSet("SEMEION", "semeion.data", WHOLE, NO_FLIP),
    "stanford_cars": VisionSet("StanfordCars", "stanford_cars", BY_SPLIT, ALL, offers_download=False),
    "stl10": VisionSet("STL10", "stl10_binary", BY_SPLIT, ALL),
    "svhn": VisionSet("SVHN", "*_32x32.mat", BY_SPLIT, NO_FLIP),
    "usps": VisionSet("USPS", "usps*.bz2", BY_TRAIN, NO_FLIP),
}
"""The sets of torchvision whose images have one label each, the same ones in training and test."""


NAMES = tuple(SETS)


def open(source: str, downloads: Path, rules: int) -> Vision:
    """One of them."""
    return Vision(source, downloads)


class Vision:
    """A dataset of torchvision in `data_dir`."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self.name = name
        self.augmentations = SETS[name].augmentations
        self._set = SETS[name]
        self._data_dir = data_dir

    def key(self) -> str:
        entries: list[FileEntry] = []
        for path in sorted(self._data_dir.glob(self._set.files)):
            entries += walk(path)[0] if path.is_dir() else [FileEntry.of(path.name, path.stat())]
        return f"{self._data_dir} {digest_files(entries)}"

    def list_images(self) -> Listing:
        parts = {SPLITS.index(split): self._open(arguments) for split, arguments in self._set.splits.items()}
        labels = [self._labels(dataset) for dataset in parts.values()]
        splits = np.repeat(np.array(list(parts), np.int8), [len(part) for part in labels])
        rows = np.concatenate([np.arange(len(part)) for part in labels])
        used, compact = np.unique(np.concatenate(labels), return_inverse=True)
        return Listing(
            place=self.name,
            classes=_class_names(parts[0], used),
            labels=compact.astype(np.int64),
            splits=splits,
            names=[f"{SPLITS[split]} image {row}" for split, row in zip(splits, rows, strict=True)],
            read=lambda index: parts[splits[index]][rows[index]][0],
        )

    def _open(self, arguments: Arguments) -> Any:
        """One split as torchvision's own dataset: read from what is there, else downloaded."""
        try:
            from torchvision import datasets
        except ImportError as error:
            raise DataError(
                f"Dataset {self.name!r} is read through torchvision, which cannot be imported ({error}): "
                "pip install torchvision."
            ) from error
        factory = getattr(datasets, self._set.factory)
        arguments = {"root": str(self._data_dir), **self._set.arguments, **arguments}
        if not self._set.offers_download:
            try:
                return factory(**arguments)
            except Exception as error:
                raise self._unreadable("torchvision does not download it", error) from error
        try:
            return factory(**arguments, download=False)
        except Exception:  # torchvision has many ways to say that files are missing or damaged
            return self._download(factory, arguments)

    def _download(self, factory: Callable[..., Any], arguments: Arguments) -> Any:
        from filelock import FileLock

        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(self._data_dir / f".{self.name}.lock"):  # two at once would spoil their files
                return factory(**arguments, download=True)
        except Exception as error:
            raise self._unreadable("torchvision could not download it", error) from error

    def _unreadable(self, attempt: str, error: Exception) -> DataError:
        reason = " ".join(str(error).split()).rstrip(".")
        return DataError(
            f"Dataset {self.name!r} is not in {self._data_dir}, and {attempt}: {reason}. Put its files at "
            f"{self._data_dir / self._set.files}, or name the folder that has them with --data-dir."
        )

    def _labels(self, dataset: Any) -> NDArray[np.int64]:
        try:
            # QMNIST keeps more about an image behind its class
            return np.asarray(_kept_labels(dataset), np.int64).reshape(len(dataset), -1)[:, 0]
        except TypeError as error:  # None: FER2013 also comes without labels for its test images
            raise DataError(
                f"Dataset {self.name!r} in {self._data_dir} has images without labels."
            ) from error


def _kept_labels(dataset: Any) -> Any:
    """The label of every image, from wherever the set's class keeps them, so that no image is decoded."""
    for attribute in ("targets", "labels", "_labels", "y"):
        if hasattr(dataset, attribute):
            return getattr(dataset, attribute)
    for attribute in ("samples", "_samples"):
        if hasattr(dataset, attribute):
            return [label for _, label in getattr(dataset, attribute)]
    return [dataset[row][1] for row in range(len(dataset))]


def _class_names(dataset: Any, used: NDArray[np.int64]) -> tuple[str, ...]:
    """The set's own names of the labels `used`, else the labels themselves."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if names is None:
        return tuple(str(label) for label in used)
    own = [names[label] for label in used]
    return tuple(name if isinstance(name, str) else name[0] for name in own)  # Imagenette has synonyms
