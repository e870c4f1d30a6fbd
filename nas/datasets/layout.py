"""Which folders of images are splits and which are classes, by their names and by what they hold."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from nas.datasets.junk import COPIES
from nas.errors import DataError

TRAIN, VAL, TEST = range(3)

EVALUATION = ("eval", "evaluation")
"""Validation, or the test where another folder validates."""

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), VAL),
    **dict.fromkeys(EVALUATION, VAL),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), TEST),
}

FILLERS = (
    "set",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "pictures",
    "split",
    "folder",
)
"""Words that say nothing about which split or class a folder is."""

UNLABELLED = {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "submission"}

PIXEL_LABELS = {"mask", "masks", "label", "labels", "annotation", "annotations", "groundtruth"}

FEW = 10
"""So many folders of the same subfolders look like parts of a dataset rather than like its classes."""

LAYOUT = "It must hold <class>/<image>, or train/<class>/<image> beside the same in val/ and test/."


@dataclass(frozen=True)
class Layout:
    """Where the classes lie."""

    homes: dict[str, tuple[int, str]]
    """From the path of each class folder to its split, as an index into SPLITS, and its class."""
    parents: frozenset[str]
    """The folders whose subfolders are classes; "" is the root."""
    notes: tuple[str, ...] = ()


def find_layout(place: str, images: Iterable[str]) -> Layout:
    """The layout of a folder that holds these images, given by their relative paths.

    Raises:
        DataError: there are no class folders, or what is a class and what is a split cannot be told.
    """
    tree = _Tree(images)
    tops = tree.children[""]
    if not tops:
        raise DataError(f"{place} has no class folders that hold images. {LAYOUT}")
    splits = _split_names(place, tops)
    inside = {top: _unwrapped(tree, top, split) for top, split in splits.items()}
    homes = {
        f"{inside[top]}/{name}": (split, name)
        for top, split in splits.items()
        for name in tree.children[inside[top]]
    }
    if any(split == TRAIN for split, _ in homes.values()) and not _is_class(tree, splits):
        _check_others(place, tree, splits)
        layout = Layout(homes, frozenset(inside.values()))
    elif len(splits) == len(tops) or {TRAIN} < set(splits.values()):
        raise DataError(f"{place} has no class folders: none in {_listed(splits)} to train on. {LAYOUT}")
    else:
        layout = _classes_on_top(place, tree, splits)
    classes = {name for _, name in layout.homes.values()}
    if len(classes) > 1 and all(map(_of_pixels, classes)) and any(map(_words, classes)):
        raise DataError(
            f"{place}: {_listed(classes)} look like images and their masks or labels, not like classes."
            f" {LAYOUT}"
        )
    if len(classes) == 1:
        _check_single(place, tree, layout)
    return layout


class _Tree:
    """How many images lie where."""

    def __init__(self, images: Iterable[str]) -> None:
        self.direct = Counter(path.rpartition("/")[0] for path in images)
        """In each folder itself."""
        self.below: Counter[str] = Counter()
        """In each folder and all below it."""
        self.children: dict[str, set[str]] = defaultdict(set)
        """The names of subfolders that hold images, at any depth."""
        for folder, count in self.direct.items():
            while folder:
                self.below[folder] += count
                parent, _, name = folder.rpartition("/")
                self.children[parent].add(name)
                folder = parent


def _words(name: str) -> list[str]:
    """The words of a folder's name that say something: "Cats_TrainSet2" is "cats" and "train"."""
    parts = re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])", name)
    words = (re.sub(f"({'|'.join(FILLERS)})+$", "", part.lower()) for part in parts)
    return [word for word in words if word]


def split_of(name: str) -> int | None:
    """The split that a name tells of, such as that of "train-00000-of-00002", as an index into SPLITS."""
    marks = [SPLIT_WORDS[word] for word in _words(name) if word in SPLIT_WORDS]
    return marks[0] if len(marks) == 1 else None


def splits_of(names: Iterable[str]) -> dict[str, int]:
    """Those of the names that tell of a split, with it; evaluation is the test where another validates."""
    found = {name: split for name in names if (split := split_of(name)) is not None}
    evaluated = {name: TEST for name in found if set(_words(name)) & set(EVALUATION)}
    others = {split for name, split in found.items() if name not in evaluated}
    return found | evaluated if VAL in others and TEST not in others else found


def _split_names(place: str, tops: Iterable[str]) -> dict[str, int]:
    """Those of the names that are a split's: "train", "test_set"; "seg_train" where "seg_test" is too."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for top in sorted(tops):
        alike[tuple(word for word in _words(top) if word not in SPLIT_WORDS)].append(top)
    groups = {of: splits for of, names in alike.items() if (splits := splits_of(names))}
    plain = groups.pop((), {})
    pairs = [group for group in groups.values() if TRAIN in group.values() and len(set(group.values())) > 1]
    if TRAIN in plain.values() or not pairs:
        return plain
    if len(pairs) > 1:
        several = " and ".join(_listed(group) for group in pairs)
        raise DataError(
            f"{place} holds several datasets, each with its splits: {several}. Keep one. {LAYOUT}"
        )
    return pairs[0]


def _unwrapped(tree: _Tree, folder: str, split: int | None = None) -> str:
    """The folder itself, or the one inside that is all it holds; of a split, one of the same split."""
    while len(tree.children[folder]) == 1 and not tree.direct[folder]:
        (name,) = tree.children[folder]
        if split is not None and split not in map(SPLIT_WORDS.get, _words(name)):
            break
        folder = f"{folder}/{name}"
    return folder


def _is_class(tree: _Tree, splits: dict[str, int]) -> bool:
    """Whether the only folder with a split's name looks like a class: with most of its images in itself."""
    (top, *more) = splits
    return not more and len(tree.children[""]) > 1 and 2 * tree.direct[top] > tree.below[top]


def _check_others(place: str, tree: _Tree, splits: dict[str, int]) -> None:
    """Refuse splits beside which many images lie in other folders: train/ may be a class as they are."""
    others = {
        top: tree.below[top] for top in tree.children[""] - splits.keys() if not UNLABELLED & set(_words(top))
    }
    inside, outside = sum(tree.below[top] for top in splits), sum(others.values())
    if outside > inside or (len(splits) == 1 and outside * 10 > inside):
        train = next(top for top, split in splits.items() if split == TRAIN)
        raise DataError(
            f"{place}: is {train}/ a class, or does it hold the classes? Beside it lie {outside:,} images in"
            f" {_listed(others)}. If the classes lie in {_listed(splits)}, move the others away, or"
            f" give {place}/{train} alone; if {train}/ is a class, rename it."
        )


def _classes_on_top(place: str, tree: _Tree, splits: dict[str, int]) -> Layout:
    """The folders on top are the classes, unless what they hold says otherwise."""
    tops = tree.children[""]
    if homes := _splits_in_classes(tree):
        return Layout(homes, frozenset())
    inside = {top: _unwrapped(tree, top) for top in sorted(tops)}
    for top, folder in inside.items():
        same = tree.children[folder] & (tops - {top})
        if len(same) > 1 or (same and top in splits):
            raise DataError(
                f"{place}: {folder}/ holds {_listed(same)}, which lie beside {top}/ too: copies, or another"
                f" split. Move {top}/ away, give {place}/{folder} alone, or put the folders beside it into"
                " train/."
            )
    alike, shared = _alike(tree, inside)
    if alike and len(tops) <= FEW:
        raise DataError(
            f"{place}: {_listed(alike)} all hold {_listed(shared)}. If these are the classes, call the"
            f" folders above them train/, val/ and test/, or give one: {place}/{inside[alike[0]]}. If"
            f" {_listed(tops)} are the classes, put their images straight into them."
        )
    odd = [top for top in tops if top in splits or COPIES.fullmatch(top)]
    notes: tuple[str, ...] = ()
    if odd:
        notes += (f"read as a class like the others, whatever the name says: {_listed(odd)}",)
    if alike:
        notes += (f"{_listed(alike)} all hold {_listed(shared)}, which are not told apart",)
    return Layout({top: (TRAIN, top) for top in tops}, frozenset([""]), notes)


def _splits_in_classes(tree: _Tree) -> dict[str, tuple[int, str]]:
    """The class folders where every class holds train/ and perhaps test/ alone; else none."""
    homes: dict[str, tuple[int, str]] = {}
    for top in tree.children[""]:
        split_of = {name: _plain_split(name) for name in tree.children[top]}
        if TRAIN not in split_of.values() or len(tree.children[""]) == 1:
            return {}
        for name, split in split_of.items():
            if split is None:
                return {}
            homes[f"{top}/{name}"] = (split, top)
    return homes


def _alike(tree: _Tree, inside: dict[str, str]) -> tuple[list[str], set[str]]:
    """The folders on top that hold the same subfolders, if most do, and the names of these."""
    deep = [top for top, folder in inside.items() if tree.children[folder]]
    if len(deep) < 2 or 2 * len(deep) <= len(inside):
        return [], set()
    shared = set[str].intersection(*(tree.children[inside[top]] for top in deep))
    mostly = all(
        2 * sum(tree.below[f"{inside[top]}/{name}"] for name in shared) > tree.below[top] for top in deep
    )
    return (deep, shared) if mostly and len(shared) > 1 else ([], set())


def _check_single(place: str, tree: _Tree, layout: Layout) -> None:
    """Refuse a folder around the class folders, and say which to give; one class is refused anyway."""
    folders = {home: _unwrapped(tree, home) for home in layout.homes}
    home = max(folders, key=lambda home: len(tree.children[folders[home]]))
    folder, name = folders[home], layout.homes[home][1]
    inner = tree.children[folder]
    if not inner:
        return
    alone = layout.homes[home][0] == TRAIN and len(layout.homes) == 1
    way_out = f"give {place}/{folder}" if alone else "move them up, straight below train/, val/ and test/"
    raise DataError(
        f"{place}: there is one class only, {name!r}; a classifier needs two. If {_listed(inner)} inside"
        f" {folder}/ are the classes or the splits, {way_out}."
    )


def _of_pixels(name: str) -> bool:
    """Whether it is a name of images or of their masks, and of no class."""
    return name.isascii() and any(map(str.isalpha, name)) and set(_words(name)) <= PIXEL_LABELS


def _plain_split(name: str) -> int | None:
    words = _words(name)
    return SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def _listed(names: Iterable[str]) -> str:
    """Such as "cat/, dog/ and emu/"; of many the first three."""
    shown = [f"{name}/" for name in sorted(names)]
    if len(shown) > 4:
        shown = [*shown[:3], f"{len(shown) - 3:,} others"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
