"""Splits that keep groups together, such as all images of one patient or of one scene."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from nas.datasets.source import SPLITS, Listing
from nas.errors import DataError


def deal_groups(
    listing: Listing, splits: NDArray[np.int8], shares: Mapping[int, float], lot: Callable[[str], bytes]
) -> None:
    """Deal the images that `splits` has in the first of `shares` out to all of these, in place.

    The class in the fewest groups is dealt out first, and its largest groups before others, each to the
    split that lacks most of the class, then of all images. As far as whole groups allow, every split gets
    some of every class. What is equal is decided by lot.

    Args:
        shares: of the images, by split.
        lot: a hash of an image's name.

    Raises:
        DataError: a class lies in fewer groups than there are splits, of which one would go without it.
    """
    assert listing.groups is not None
    members: dict[int, list[int]] = defaultdict(list)
    for image in np.flatnonzero(splits == next(iter(shares))).tolist():
        members[int(listing.groups[image])].append(image)
    labels = listing.labels.tolist()
    held = {group: Counter(labels[image] for image in images) for group, images in members.items()}
    lots = {group: min(lot(listing.names[image]) for image in images) for group, images in members.items()}
    groups_of: dict[int, list[int]] = defaultdict(list)
    for group, counts in held.items():
        for label in counts:
            groups_of[label].append(group)
    _check_enough(listing, groups_of, [*shares])
    left = sum(held.values(), Counter[int]())
    wanted = {(split, label): share * left[label] for split, share in shares.items() for label in left}
    room = {split: share * left.total() for split, share in shares.items()}
    home: dict[int, int] = {}
    while left:
        label = min(left, key=lambda each: (len(groups_of[each]), left[each], each))
        del left[label]
        lacking = {*shares} - {home.get(group) for group in groups_of[label]}
        waiting = [group for group in groups_of[label] if group not in home]
        waiting.sort(key=lambda group: (-held[group][label], lots[group]))
        for number, group in enumerate(waiting):
            choice = lacking if 0 < len(waiting) - number <= len(lacking) else shares
            split = max(choice, key=lambda each: (wanted[each, label], room[each], -each))
            home[group] = split
            lacking.discard(split)
            for each, count in held[group].items():
                wanted[split, each] -= count
                room[split] -= count
                if each in left:
                    left[each] -= count
    for group, split in home.items():
        splits[members[group]] = split


def check_groups(listing: Listing, splits: NDArray[np.int8]) -> None:
    """What a source brings must keep its groups together, too.

    Raises:
        DataError: a group lies in two splits.
    """
    assert listing.groups is not None
    first: dict[int, int] = {}
    crossing: dict[int, int] = {}
    for image, (group, split) in enumerate(zip(listing.groups.tolist(), splits.tolist(), strict=True)):
        if splits[first.setdefault(group, image)] != split:
            crossing.setdefault(group, image)
    for group, image in crossing.items():
        one, two = (SPLITS[splits[each]] for each in (first[group], image))
        raise DataError(
            f"{listing.place}: {len(crossing):,} of {len(first):,} groups lie in two splits:"
            f" {listing.names[first[group]]} is in {one}, and {listing.names[image]} of the same group in"
            f" {two}. Move one, draw the splits anew with --columns split=none, or leave groups alone with"
            " --columns group=none."
        )


def told_of_groups(listing: Listing, splits: NDArray[np.int8]) -> str:
    """How the splits came out."""
    assert listing.groups is not None
    count = len(np.unique(listing.groups))
    parts = [listing.labels[splits == split] for split in range(len(SPLITS))]
    sizes = ", ".join(f"{SPLITS[split]} {len(part) / len(splits):.0%}" for split, part in enumerate(parts))
    classes = len(listing.classes)
    whole = np.bincount(listing.labels, minlength=classes) / len(splits)
    off = max(
        (
            float(np.abs(np.bincount(part, minlength=classes) / len(part) - whole).max())
            for part in parts
            if len(part)
        ),
        default=0.0,
    )
    return (
        f"{count:,} groups kept together: {sizes} of the images; in no split is the share of a class more"
        f" than {100 * off:.1f} points from that in all"
    )


def _check_enough(listing: Listing, groups_of: Mapping[int, list[int]], parts: list[int]) -> None:
    for label, groups in sorted(groups_of.items()):
        if len(groups) < len(parts):
            names = ", ".join(SPLITS[split] for split in parts)
            raise DataError(
                f"{listing.place}: class {listing.classes[label]!r} lies in {len(groups)} groups only: there"
                f" must be one each for {names}. Add some, bring your own splits, or leave groups alone with"
                " --columns group=none."
            )
