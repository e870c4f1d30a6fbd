"""Images in a folder of class folders, with or without train/, val/ and test/ above them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.datasets.files import digest_files, walk
from nas.datasets.image_files import is_image, open_image
from nas.datasets.rules import NEWEST
from nas.datasets.source import Listing
from nas.errors import DataError
from nas.space import AUGMENTATIONS

if TYPE_CHECKING:
    from PIL import Image

SPLIT_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
"""Indices into SPLITS. Upper case is as good."""

LAYOUT = "It must hold <class>/<image>, or train/<class>/<image> beside the same in val/ and test/."


class Folder:
    """`<class>/**/<image>`, or `train/<class>/**/<image>` beside the same in `val/` and `test/`.

    Hidden files and folders do not exist here. Other files that are no images, and images outside the class
    folders, are left out and counted in the notes.
    """

    augmentations = AUGMENTATIONS

    def __init__(self, path: Path, rules: int = NEWEST) -> None:
        """Raises DataError where there is no such folder."""
        if not path.is_dir():
            raise DataError(f"No dataset at {path}: there is no such folder.")
        self.name = path.name
        self._place = str(path)
        self._path = path
        self._rules = rules
        self._files, self._folders = walk(path)

    def key(self) -> str:
        return f"{self._place} {digest_files(self._files)}"

    def list_images(self) -> Listing:
        homes = self._class_folders()
        depth = 1 + next(iter(homes)).count("/")
        paths: list[str] = []
        home_of: list[str] = []
        outside: list[str] = []
        others: list[str] = []
        dead: list[str] = []
        for file in self._files:
            path = file.path
            home = "/".join(path.split("/")[:depth])
            if not is_image(self._path, file, self._rules):
                (others if file.kind == "file" else dead).append(path)
            elif home not in homes:
                outside.append(path)
            else:
                paths.append(path)
                home_of.append(home)
        classes = sorted({name for split, name in homes.values() if split == 0})
        for home, (_, name) in homes.items():
            if name not in classes:
                raise DataError(f"{self._place}: {home}/ is there, but train/ has no class {name!r}.")
        for home in sorted(homes.keys() - set(home_of)):
            raise DataError(f"{self._place}: the class folder {home}/ holds no images. Fill it or remove it.")
        label_of = {name: label for label, name in enumerate(classes)}
        return Listing(
            place=self._place,
            classes=tuple(classes),
            labels=np.array([label_of[homes[home][1]] for home in home_of], np.int64),
            splits=np.array([homes[home][0] for home in home_of], np.int8),
            names=paths,
            read=lambda index: self._open(paths[index]),
            notes=_left_out(outside, "outside the class folders")
            + _left_out(others, "of no image type")
            + _left_out(dead, "without content (links that lead nowhere, pipes, devices)"),
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

    def _open(self, path: str) -> Image.Image:
        return open_image(self._path / path, self._rules)


def _left_out(paths: list[str], why: str) -> tuple[str, ...]:
    if not paths:
        return ()
    files = "1 file" if len(paths) == 1 else f"{len(paths):,} files"
    return (f"{files} {why} left out, such as {paths[0]}",)
