"""From the name or path of a dataset to its decoded images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.datasets import cache
from nas.datasets.checksums import is_whole
from nas.datasets.finding import find_source
from nas.datasets.groups import told_of_groups
from nas.datasets.image_data import ImageData
from nas.datasets.image_files import MAX_PIXELS
from nas.datasets.rules import NEWEST
from nas.datasets.source import SPLITS, Listing, Settings, Source
from nas.datasets.split import check_classes, digest_split, stratify
from nas.errors import DataError, InvalidSetting
from nas.recipe import Depth
from nas.space import COLOURS, DataInfo

if TYPE_CHECKING:
    from nas.datasets.decoding import Decoded, Progress


def open_data(
    source: str,
    *,
    split_seed: int = 0,
    image_size: int | None = None,
    data_dir: Path | None = None,
    skip_broken: bool = False,
    max_pixels: int = MAX_PIXELS,
    columns: Mapping[str, str] | None = None,
    root: Path | None = None,
    depth: Depth = "8bit",
    rules: int = NEWEST,
    progress: Progress | None = None,
) -> ImageData:
    """The images of a known dataset, a folder of class folders, a table or an .npz file, decoded once.

    Args:
        source: a name out of `known_datasets()`, or a path.
        split_seed: draws the splits that the source does not bring itself.
        image_size: side in pixels of the square that every image is brought to; None keeps their sizes.
        data_dir: where torchvision's datasets lie or are put; by default `downloads` in the cache folder.
        skip_broken: leave out images that cannot be read or are not there, instead of refusing the dataset.
        max_pixels: width times height of the largest image that is read.
        columns: of a table, by role (image, label, split, group), a column's name or number, or "none".
        root: from where the paths in a table lead; by default its own folder.
        depth: "8bit", or "native" to keep 16 bits of grey, and all channels of arrays and pages.
        rules: by which a folder is listed and images are decoded: a study's own, see `nas.datasets.rules`.
        progress: called with the images done and the images in all while they are decoded.

    Raises:
        InvalidSetting: `image_size` is no size, or the rules are of a newer nas.
        UnknownName: `source` is neither a known dataset nor a path.
        DataError: its images cannot be read, or make no dataset.
        StorageError: the cache folder cannot be written.
    """
    if image_size is not None and image_size < 1:
        raise InvalidSetting(f"An image size of {image_size} is no size in pixels.")
    if rules > NEWEST:
        raise InvalidSetting(
            f"The images of {source!r} are to be read by rules {rules}, and this nas knows those up to"
            f" {NEWEST}. Use the nas that the study was made with, or a newer one."
        )
    settings = Settings(
        split_seed=split_seed,
        image_size=image_size,
        skip_broken=skip_broken,
        max_pixels=max_pixels,
        rules=rules,
        native=depth == "native",
    )
    origin = find_source(source, data_dir, rules, columns, root, native=settings.native)
    folder = _folder(origin, settings)
    if not is_whole(folder):
        listing = _whole(origin.list_images(), skip_broken)
        folder = _folder(origin, settings)  # a download has changed the key
        cache.create(folder, lambda temporary: _fill(temporary, origin, listing, settings, progress))
    return ImageData.open(folder)


def _whole(listing: Listing, skip_broken: bool) -> Listing:
    """The same, with a note on what it lacks.

    Raises:
        DataError: it lacks something, which is not to be skipped.
    """
    if listing.lacks and not skip_broken:
        what = "; ".join(listing.lacks)
        raise DataError(f"{listing.place}: {what}. Correct that, or leave them out with --skip-broken.")
    return replace(listing, notes=(*listing.notes, *(f"{each}: left out" for each in listing.lacks)))


def _folder(origin: Source, settings: Settings) -> Path:
    return cache.cache_folder(origin.name, origin.key(), settings, *(["native"] if settings.native else []))


def _fill(
    folder: Path, origin: Source, listing: Listing, settings: Settings, progress: Progress | None
) -> None:
    """Write everything that `ImageData.open` needs."""
    from nas.datasets.decoding import decode  # Pillow comes with it
    from nas.datasets.measure import fingerprint, mean_and_std
    from nas.datasets.origin import keep_origin

    decoded = decode(listing, stratify(listing, settings.split_seed), folder, settings, progress)
    skipped = decoded.skipped
    try:
        check_classes(listing, decoded.splits)
    except DataError as error:
        if not skipped:
            raise
        # broken images may have been drawn for val: once more, as if they had never been there
        try:
            listing = listing.of(np.flatnonzero(decoded.splits >= 0))
            decoded = decode(listing, stratify(listing, settings.split_seed), folder, settings, progress)
            check_classes(listing, decoded.splits)
        except DataError:
            raise error from None
    kept = decoded.splits >= 0
    keep_origin(folder, listing.names, decoded)
    grouped = () if listing.groups is None else (told_of_groups(listing, decoded.splits),)
    of_split = {name: listing.labels[decoded.splits == split] for split, name in enumerate(SPLITS)}
    mean, std = mean_and_std(np.load(folder / "train_images.npy", mmap_mode="r"))
    ImageData(
        folder=folder,
        info=DataInfo(
            name=origin.name,
            shape=decoded.shape,
            num_classes=len(listing.classes),
            num_train=len(of_split["train"]),
            num_val=len(of_split["val"]),
            augmentations=_augmentations(origin, decoded, settings),
            bits=decoded.bits,
        ),
        classes=listing.classes,
        mean=mean,
        std=std,
        counts={name: len(labels) for name, labels in of_split.items()},
        class_counts={
            name: tuple(np.bincount(labels, minlength=len(listing.classes)).tolist())
            for name, labels in of_split.items()
        },
        fingerprint=fingerprint(folder),
        split_digest=digest_split(compress(listing.names, kept), decoded.splits[kept]),
        notes=listing.notes + grouped + decoded.notes + skipped,
        rules=settings.rules,
        native=settings.native,
    ).save()


def _augmentations(origin: Source, decoded: Decoded, settings: Settings) -> tuple[str, ...]:
    """Without those of colours where channels are not three of 8 bits, which are what eyes see."""
    seen = not settings.native or (decoded.shape[0], decoded.bits) == (3, 8)
    return tuple(name for name in origin.augmentations if seen or name not in COLOURS)
