"""Images in a folder of class folders, with or without train/, val/ and test/ above them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.files import digest_files, walk, why_not
from nas.datasets.image_files import is_image, open_image, open_native
from nas.datasets.junk import DATABASE, NO_IMAGES, copies_among, copies_within, is_left_out, results_among
from nas.datasets.layout import LAYOUT, Layout, find_layout
from nas.datasets.rules import FIRST, NEWEST
from nas.datasets.source import Listing
from nas.datasets.tables import delimited, json_lines
from nas.errors import DataError
from nas.machine.files import absolute
from nas.space import AUGMENTATIONS

if TYPE_CHECKING:
    from PIL import Image

TABLES = (*delimited.SUFFIXES, *json_lines.SUFFIXES)

SPLIT_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
"""By the first rules: indices into SPLITS. Upper case is as good."""


def open(source: str, downloads: Path, rules: int, native: bool = False) -> Folder:
    """Of what no other source knows for its own. Raises DataError where there is no such folder."""
    return Folder(absolute(source), rules, native)


class Folder:
    """`<class>/**/<image>`, or `train/<class>/**/<image>` beside the same in `val/` and `test/`.

    Hidden files and folders, and what systems leave, do not exist here. Other files that are no images,
    images outside the class folders, thumbnails and folders without images are left out, with a note.
    """

    augmentations = AUGMENTATIONS

    def __init__(self, path: Path, rules: int = NEWEST, native: bool = False) -> None:
        """Raises DataError where there is no such folder."""
        if not path.is_dir():
            raise DataError(f"No dataset at {path}: {why_not(path, 'folder')}.")
        self.name = path.name
        self._place = str(path)
        self._path = path
        self._rules = rules
        self._native = native
        self._files, self._folders = walk(path) if rules == FIRST else walk(path, is_left_out)

    def key(self) -> str:
        if self._rules == FIRST:
            return f"{self._place} {digest_files(self._files)}"
        listing = self.list_images()  # costs no more than its names, and all that it depends on is in it
        names = set(listing.names)
        images = digest_files(file for file in self._files if file.path in names)
        splits = hashlib.sha256(listing.labels.tobytes() + listing.splits.tobytes()).hexdigest()
        return f"{self._place} {images} {splits} {listing.classes} {listing.notes}"

    def list_images(self) -> Listing:
        return self._list_first() if self._rules == FIRST else self._listing

    @cached_property
    def _listing(self) -> Listing:
        results = results_among(file.path for file in self._files)
        in_results = _homes_of((file.path for file in self._files), results)
        images: list[str] = []
        rest: list[str] = []
        dead: list[str] = []
        for file in self._files:
            if in_results[_folder(file.path)] is None:
                is_one = is_image(self._path, file, native=self._native)
                where = images if is_one else rest if file.kind == "file" else dead
                where.append(file.path)
        copies = copies_among(images)
        layout = find_layout(self._place, (path for path in images if path not in copies))
        of_class: dict[str, list[str]] = {home: [] for home in layout.homes}
        outside: list[str] = []
        home_of = _homes_of(images, layout.homes)
        for path in images:
            if path not in copies:
                home = home_of[_folder(path)]
                (of_class[home] if home else outside).append(path)
        likely: set[str] = set()
        for home, paths in of_class.items():
            small, deeper = copies_within(path[len(home) + 1 :] for path in paths)
            copies |= {f"{home}/{path}" for path in small}
            likely |= {f"{home}/{path}" for path in deeper}
        hollow = self._hollow(layout, images, rest) - results
        in_hollow = _homes_of(rest, hollow)
        others = [path for path in rest if not in_hollow[_folder(path)] and not path.startswith(DATABASE)]
        notes = (
            *layout.notes,
            *_left_out(outside, "outside the class folders"),
            *self._unread_tables(others),
            *_left_out(others, "of no image type"),
            *_left_out(dead, "without content (links that lead nowhere, pipes, devices)"),
            *_left_out(
                sorted(copies),
                "that is a copy of another" if len(copies) == 1 else "that are copies of others",
            ),
            *_left_out(sorted(hollow), "without images", "folder"),
            *_left_out(sorted(results), "of results", "folder"),
            *_suspects(sorted(likely)),
        )
        kept = [(path, home) for home, paths in of_class.items() for path in paths if path not in copies]
        return self._make_listing(sorted(kept), layout.homes, notes)

    def _unread_tables(self, paths: list[str]) -> tuple[str, ...]:
        tables = [path for path in paths if "/" not in path and path.lower().endswith(TABLES)]
        return tuple(
            f"{name} is not read, since folders tell the classes: if it tells them, give {self._place}/{name}"
            for name in tables[:1]
        )

    def _hollow(self, layout: Layout, images: list[str], rest: list[str]) -> set[str]:
        """The folders that would be classes if they held images.

        Raises:
            DataError: what one holds may well be images, which cannot be read.
        """
        beside = {folder for folder in self._folders if folder.rpartition("/")[0] in layout.parents}
        hollow = beside - set(_homes_of(images, beside).values()) - layout.parents
        filled = {file.path for file in self._files if file.size}  # a lock is no image
        inside: dict[str, list[str]] = {}
        home_of = _homes_of(rest, hollow)
        for path in rest:
            if home := home_of[_folder(path)]:
                inside.setdefault(home, []).append(path)
        for home, paths in inside.items():
            unknown = [path for path in paths if path in filled and not _is_known(path)]
            if 2 * len(unknown) > len(paths):
                raise DataError(
                    f"{self._place}: the class folder {home}/ holds no images that can be read, such as"
                    f" {unknown[0]}. Convert them to PNG or JPEG, or move the folder away."
                )
        return hollow

    def _list_first(self) -> Listing:
        """By the first rules, of studies from before there were others."""
        homes = self._class_folders()
        depth = 1 + next(iter(homes)).count("/")
        images: list[tuple[str, str]] = []
        outside: list[str] = []
        others: list[str] = []
        for file in self._files:
            path = file.path
            home = "/".join(path.split("/")[:depth])
            if not is_image(self._path, file, FIRST):
                others.append(path)
            elif home not in homes:
                outside.append(path)
            else:
                images.append((path, home))
        for home in sorted(homes.keys() - {home for _, home in images}):
            raise DataError(f"{self._place}: the class folder {home}/ holds no images. Fill it or remove it.")
        notes = _left_out(outside, "outside the class folders") + _left_out(others, "of no image type")
        return self._make_listing(images, homes, notes)

    def _make_listing(
        self, images: list[tuple[str, str]], homes: dict[str, tuple[int, str]], notes: tuple[str, ...]
    ) -> Listing:
        """Of images, each with its class folder."""
        classes = sorted({name for split, name in homes.values() if split == 0})
        for home, (_, name) in homes.items():
            if name not in classes:
                raise DataError(
                    f"{self._place}: {home}/ is there, but train/ has no class {name!r}. Rename it or"
                    " move it away."
                )
        label_of = {name: label for label, name in enumerate(classes)}
        paths = [path for path, _ in images]
        return Listing(
            place=self._place,
            classes=tuple(classes),
            labels=np.array([label_of[homes[home][1]] for _, home in images], np.int64),
            splits=np.array([homes[home][0] for _, home in images], np.int8),
            names=paths,
            read=lambda index: self._open(paths[index]),
            notes=notes,
        )

    def _class_folders(self) -> dict[str, tuple[int, str]]:
        """From the path of each class folder to its split and its class."""
        tops = [folder for folder in self._folders if "/" not in folder]
        splits = {top: SPLIT_FOLDERS[top.lower()] for top in tops if top.lower() in SPLIT_FOLDERS}
        inner = [folder.split("/") for folder in self._folders if folder.count("/") == 1]
        nested = {f"{top}/{name}": (splits[top], name) for top, name in inner if top in splits}
        if any(split == 0 for split, _ in nested.values()):
            return nested
        if not tops or len(splits) == len(tops):  # train/ and test/ are no classes
            raise DataError(f"{self._place} has no class folders. {LAYOUT}")
        return {top: (0, top) for top in tops}

    def _open(self, path: str) -> Image.Image | NDArray[Any]:
        return (open_native if self._native else open_image)(self._path / path, self._rules)


def _is_known(path: str) -> bool:
    """Whether it is something else than an image."""
    return os.path.splitext(path)[1].lower() in NO_IMAGES


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _homes_of(files: Iterable[str], homes: Collection[str]) -> dict[str, str | None]:
    """From each folder of these files to the innermost of `homes` at or above it."""
    found: dict[str, str | None] = {}
    for folder in {_folder(path) for path in files}:
        above: str | None = folder
        while above and above not in homes:
            above = _folder(above)
        found[folder] = above or None
    return found


def _left_out(paths: list[str], why: str, noun: str = "file") -> tuple[str, ...]:
    if not paths:
        return ()
    count = f"1 {noun}" if len(paths) == 1 else f"{len(paths):,} {noun}s"
    return (f"{count} {why} left out, such as {paths[0]}",)


def _suspects(paths: list[str]) -> tuple[str, ...]:
    if not paths:
        return ()
    count = "1 image has" if len(paths) == 1 else f"{len(paths):,} images have"
    return (
        f"{count} the name of another in a folder above, such as {paths[0]}: remove copies, since one may be"
        " trained on while the other tests",
    )
