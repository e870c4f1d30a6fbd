"""Where the images lie that a table tells of."""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from nas.datasets.files import FileEntry, walk
from nas.datasets.image_files import ALL_SUFFIXES, has_image_suffix
from nas.datasets.junk import COPIES, is_left_out
from nas.datasets.layout import split_of
from nas.errors import DataError

PLAIN = re.compile(r"[\w-]+(?:/[\w-]+)*(?:\.\w+)?\Z", re.ASCII)
"""A path that can be taken as it is."""

TRIED = 50
"""Rows, spread over a table, by which it is told how its paths are meant."""


def locate(
    table: Path, root: Path, written: Sequence[str], split: int | None, *, anywhere: bool = True
) -> list[FileEntry | None]:
    """The file of each row, by its path below `root`; None where there is none.

    A path is taken as it is written; its suffix may be missing, or be in other letters. Where no path leads
    to an image so, the images may lie deeper, and the folders that paths begin with may be another machine's:
    then whatever lies below `root` is looked through.

    Args:
        split: where several files fit, those of this split are meant.
        anywhere: whether paths may lead out of `root`; else there is nothing where they do.

    Raises:
        DataError: several files fit a row.
    """
    paths = [_normal(each, root) for each in written]
    if not anywhere:
        paths = ["" if path.startswith(("/", "../")) else path for path in paths]
    step = max(1, len(paths) // TRIED)
    some = [path for path in paths[::step] if path]
    as_written = _AsWritten(table, root)
    if any(as_written.find(path) for path in some):
        return [as_written.find(path) for path in paths]
    below = _Below(table, root, split)
    for stripped in range(max((path.count("/") for path in some), default=0) + 1):
        tails = (path.split("/", stripped)[-1] for path in some if path.count("/") >= stripped)
        if any(below.fitting(tail) for tail in tails):
            return [
                below.find(path.split("/", stripped)[-1]) if path.count("/") >= stripped else None
                for path in paths
            ]
    return [None] * len(paths)


class _AsWritten:
    """Files by the very path, but for the suffix."""

    def __init__(self, table: Path, root: Path) -> None:
        self._table = table
        self._root = f"{root}/"
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> FileEntry | None:
        if not path:
            return None
        whole = has_image_suffix(path)
        return (whole and self._entry(path)) or self._alike(path, whole) or self._entry(path)

    def _entry(self, path: str) -> FileEntry | None:
        try:
            entry = FileEntry.of(path, os.stat(path if path[0] == "/" else self._root + path))
        except (OSError, ValueError):  # the latter: no file can be called so
            return None
        return entry if entry.kind == "file" else None

    def _alike(self, path: str, whole: bool) -> FileEntry | None:
        """Args:
        whole: whether the suffix is there, and only its letters may differ.
        """
        folder, slash, name = path.rpartition("/")
        if folder not in self._stems:
            self._stems[folder] = self._listed(folder)
        names = self._stems[folder].get(_stem(name) if whole else name.lower(), [])
        if whole:
            names = [each for each in names if each.lower() == name.lower()]
        if len(names) > 1:
            raise _several(self._table, path, (folder + slash + each for each in names))
        return self._entry(folder + slash + names[0]) if names else None

    def _listed(self, folder: str) -> dict[str, list[str]]:
        """The images there, by what comes before the suffix, in lower case."""
        found: dict[str, list[str]] = defaultdict(list)
        try:
            names = os.listdir(self._root + folder)
        except (OSError, ValueError):
            return {}
        for name in names:
            stem, _, suffix = name.lower().rpartition(".")
            if stem and f".{suffix}" in ALL_SUFFIXES:
                found[stem].append(name)
        return found


class _Below:
    """Files by the last parts of their paths, at whatever depth."""

    def __init__(self, table: Path, root: Path, split: int | None) -> None:
        self._table = table
        self._root = root
        self._split = split

    @cached_property
    def _known(self) -> dict[str, list[FileEntry]]:
        """All images, by their names without the suffix, in lower case."""
        found: dict[str, list[FileEntry]] = defaultdict(list)
        for entry in walk(self._root, is_left_out)[0]:
            if entry.kind == "file" and has_image_suffix(entry.path):
                found[_stem(entry.path.rpartition("/")[2])].append(entry)
        return found

    def fitting(self, tail: str) -> list[FileEntry]:
        """Those whose paths end so, with or without a suffix; those with it first."""
        end, name = f"/{tail.lower()}", tail.rpartition("/")[2]
        for key in dict.fromkeys((_stem(name), name.lower())):
            found = self._known.get(key, ())
            paths = [f"/{entry.path.lower()}" for entry in found]
            exact = [entry for entry, path in zip(found, paths, strict=True) if path.endswith(end)]
            alike = [entry for entry, path in zip(found, paths, strict=True) if _stem(path).endswith(end)]
            if exact or alike:
                return exact or alike
        return []

    def find(self, tail: str) -> FileEntry | None:
        fitting = self.fitting(tail)
        if len(fitting) > 1:
            fitting = [entry for entry in fitting if not _is_copy(entry.path)] or fitting
        if len(fitting) > 1 and self._split is not None:
            fitting = [entry for entry in fitting if self._split in _splits(entry.path)] or fitting
        if len(fitting) > 1:
            raise _several(self._table, tail, (entry.path for entry in fitting))
        return fitting[0] if fitting else None


def _several(table: Path, written: str, found: Iterable[str]) -> DataError:
    first, second, *_ = sorted(found)
    return DataError(
        f"{table}: {written!r} may be {first} or {second}. Say where the images lie with --root FOLDER, or"
        " write whole paths."
    )


def _normal(written: str, root: Path) -> str:
    """With forward slashes, and below `root` if it lies there; one from the root of another machine loses
    its first slash."""
    if PLAIN.match(written):  # as most are
        return written
    path = posixpath.normpath(written.replace("\\", "/")) if written else ""
    if not path.startswith("/"):
        return "" if path == "." else path
    inside = os.path.relpath(path, root)
    if not inside.startswith(".."):
        return inside
    return path if os.path.exists(path) else path.lstrip("/")


def _stem(path: str) -> str:
    """Without the suffix of an image, in lower case."""
    stem, _, suffix = path.lower().rpartition(".")
    return stem if stem and f".{suffix}" in ALL_SUFFIXES else path.lower()


def _is_copy(path: str) -> bool:
    return any(map(COPIES.fullmatch, path.split("/")[:-1]))


def _splits(path: str) -> set[int | None]:
    return {*map(split_of, path.split("/")[:-1])}
