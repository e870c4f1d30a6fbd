"""Which image is trained on, which validates, and which is locked away for the test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nas.datasets.groups import check_groups, deal_groups
from nas.datasets.source import SPLITS, Listing
from nas.errors import DataError

TRAIN, VAL, TEST = range(len(SPLITS))

SHOWN = 20
"""So many classes are named in one message."""


def stratify(listing: Listing, seed: int) -> NDArray[np.int8]:
    """The split of every image, as an index into SPLITS.

    What a source brings is kept, and what it lacks is cut from train, class by class: 15 % each for val and
    test where both are missing, else 10 % for the missing one, and at least one image of each class. Images
    are drawn by a hash of the seed and their name: the same on any machine and with any version of any
    library, and images added later hardly move the others. Where images have groups, whole groups are drawn.

    Raises:
        DataError: there are no images, there is one class only, a class has too few images or groups, or a
            group lies in two splits of the source.
    """
    if not listing.names:
        raise DataError(f"{listing.place}: no images found.")
    if len(listing.classes) < 2:
        name = listing.classes[0]
        raise DataError(f"{listing.place}: there is one class only, {name!r}; a classifier needs two.")
    splits = listing.splits.copy()
    missing = [split for split in (VAL, TEST) if not (splits == split).any()]
    share = 0.10 if len(missing) == 1 else 0.15
    members_of = [
        np.flatnonzero((listing.labels == label) & (splits == TRAIN)) for label in range(len(listing.classes))
    ]
    _check_enough(listing, [len(members) for members in members_of], (TRAIN, *missing))
    if listing.groups is not None:
        if missing:
            shares = {TRAIN: 1 - share * len(missing), **dict.fromkeys(missing, share)}
            deal_groups(listing, splits, shares, lambda name: _lot(seed, name))
        check_groups(listing, splits)
        return splits
    for members in members_of:
        count = max(1, round(share * len(members)))
        drawn = sorted(members.tolist(), key=lambda index: _lot(seed, listing.names[index]))
        for turn, split in enumerate(missing):
            splits[drawn[turn * count : (turn + 1) * count]] = split
    return splits


def check_classes(listing: Listing, splits: NDArray[np.int8]) -> None:
    """Every class must be there to learn and to validate, in what the source brings and is not broken; and
    to test, where whole groups were drawn for that.

    Raises:
        DataError: names a class that is missing.
    """
    dealt = listing.groups is not None and not (listing.splits == TEST).any()
    for split in (TRAIN, VAL, TEST) if dealt else (TRAIN, VAL):
        present = np.unique(listing.labels[splits == split])
        lacking = np.setdiff1d(np.arange(len(listing.classes)), present).tolist()
        if lacking:
            named, have = _listed([repr(listing.classes[label]) for label in lacking])
            raise DataError(f"{listing.place}: {named} {have} no {SPLITS[split]} images.")
    if not (splits == TEST).any():
        raise DataError(f"{listing.place}: there are no test images.")


def _check_enough(listing: Listing, counts: list[int], parts: tuple[int, ...]) -> None:
    """Every class needs an image for each of these splits.

    Raises:
        DataError: names the classes that have fewer.
    """
    rare = [(name, count) for name, count in zip(listing.classes, counts, strict=True) if count < len(parts)]
    if not rare:
        return
    each = f"there must be one each for {', '.join(SPLITS[split] for split in parts)}"
    if len(rare) == 1:
        ((name, count),) = rare
        raise DataError(f"{listing.place}: class {name!r} has too few images: {each}, and there are {count}.")
    named, have = _listed([f"{name!r} ({count})" for name, count in rare])
    raise DataError(f"{listing.place}: {named} {have} too few images: {each}. Add some, or remove the class.")


def _listed(names: list[str]) -> tuple[str, str]:
    """Such as "classes 'ant', 'bee'" and the verb that goes with it; of very many the first ones."""
    if len(names) == 1:
        return f"class {names[0]}", "has"
    more = f" and {len(names) - SHOWN:,} others" if len(names) > SHOWN else ""
    return f"{len(names):,} classes, {', '.join(names[:SHOWN])}{more},", "have"


def digest_split(names: Iterable[str], splits: NDArray[np.int8]) -> str:
    """Hexadecimal digest of which image went to which split."""
    digest = hashlib.sha256()
    for name, split in zip(names, splits, strict=True):
        digest.update(f"{SPLITS[split]}\0{name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()
