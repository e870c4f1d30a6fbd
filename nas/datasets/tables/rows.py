"""The rows of one table as images, each with its label, its split and its group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from nas.datasets.files import FileEntry
from nas.datasets.layout import SPLIT_WORDS, split_of, splits_of
from nas.datasets.source import SPLITS
from nas.datasets.tables.classes import labels_of, whole_number
from nas.datasets.tables.places import locate
from nas.datasets.tables.roles import Roles
from nas.datasets.tables.table import Pictures, Table
from nas.errors import DataError

TRAIN = 0


@dataclass(frozen=True)
class Part:
    """One of the tables of a dataset."""

    file: Path
    split: int | None = None
    """That of all its rows, as its name tells, as an index into SPLITS."""


class Row(NamedTuple):
    """One image that a table tells of."""

    name: str
    """Its path; of one that the table holds, that which it had, or "" where nobody knows."""
    label: str
    """"" where it has none."""
    split: int
    group: str
    """"" where it has none."""
    file: FileEntry | None
    """Of an image that is a file of its own, by its name."""
    held: tuple[Pictures, int] | None
    """Of an image that the table holds: the column, and its row there. Without both, the image is missing."""


def rows_of(
    part: Part, table: Table, roles: Roles, root: Path, base: Path, *, anywhere: bool = True
) -> list[Row]:
    """All rows of a table, in its order.

    Args:
        root: from where its paths lead.
        base: what names of images are relative to.
        anywhere: whether its paths may lead out of `root`.

    Raises:
        DataError: it cannot be read, or a value cannot be understood.
    """
    held = roles.image in table.pictures
    columns = table.read([name for name in roles.all if name not in table.pictures])
    try:
        labels = labels_of(
            {name: columns[name] for name in roles.labels}, table.classes.get(roles.labels[0], ())
        )
    except ValueError as error:
        raise DataError(f"{part.file}: {error}.") from error
    count = len(labels)
    splits = _splits(part, columns[roles.split]) if roles.split else [part.split or TRAIN] * count
    groups = [*map(whole_number, columns[roles.group])] if roles.group else [""] * count
    files: Sequence[FileEntry | None] = [None] * count
    where: Sequence[tuple[Pictures, int] | None] = [None] * count
    pictures = table.pictures[roles.image]() if held else None
    if pictures is not None and not pictures.bare:
        where = [(pictures, row) for row in range(count)]
        names = [
            _name(path, label, None if roles.split else part.split)
            for path, label in zip(pictures.paths, labels, strict=True)
        ]
    else:
        names = columns[roles.image] if pictures is None else [path or "" for path in pictures.paths]
        files = _below(base, root, locate(part.file, root, names, part.split, anywhere=anywhere))
        names = [entry.path if entry else name for entry, name in zip(files, names, strict=True)]
    return [Row(*each) for each in zip(names, labels, splits, groups, files, where, strict=True)]


def is_split_column(values: Sequence[str]) -> bool:
    """Whether some of them are names of splits."""
    return any(value.lower() in SPLIT_WORDS for value in values)


def _splits(part: Part, values: Sequence[str]) -> list[int]:
    words = {value: value.lower() for value in dict.fromkeys(values)}
    splits = splits_of(word for word in words.values() if word in SPLIT_WORDS)
    known = {value: splits.get(word) for value, word in words.items()}
    for value, split in known.items():
        if split is None:
            raise DataError(
                f"{part.file}: {value!r} is no split; one is train, val or test. Correct it, or draw splits"
                " with --columns split=none."
            )
    return [known[value] or TRAIN for value in values]


def _name(path: str | None, label: str, split: int | None) -> str:
    """What an image would be called in a folder of class folders, if no more than its file name is known."""
    if not path:
        return ""
    name = path.replace("\\", "/").lstrip("/")
    name = name if "/" in name else f"{label}/{name}"
    return name if split is None or split_of(name.split("/")[0]) == split else f"{SPLITS[split]}/{name}"


def _below(base: Path, root: Path, files: list[FileEntry | None]) -> list[FileEntry | None]:
    """The same, by their paths below `base`."""
    between = os.path.relpath(root, base).replace(os.sep, "/")
    if between == ".":
        return files
    return [
        entry
        if entry is None or os.path.isabs(entry.path)
        else replace(entry, path=f"{between}/{entry.path}")
        for entry in files
    ]
