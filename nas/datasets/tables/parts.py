"""Which files of a folder are the tables of a dataset, and which splits they are of."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from nas.datasets.files import why_not
from nas.datasets.image_files import has_image_suffix
from nas.datasets.junk import is_left_out
from nas.datasets.layout import split_of, splits_of
from nas.datasets.sources.folder import Folder
from nas.datasets.tables.arrow import SUFFIXES as ARROW
from nas.datasets.tables.rows import Part
from nas.errors import DataError

METADATA = "metadata"
"""What Hugging Face calls a table beside images, without its suffix."""

LIKELY = (METADATA, "labels", "label", "annotations", "data", "dataset", "images", "train")
"""Names of tables among others, the likeliest first."""

ANSWERS = re.compile(r"sample.?submission|submission", re.IGNORECASE)
"""What a competition wants to be filled in."""

SHARD = re.compile(r"(.*)-(\d{3,})-of-(\d{3,})(?:-[0-9a-f]+)?(?: ?\(\d+\))?")
"""As Hugging Face numbers files, and as browsers call a second download."""

DEPTH = 3
"""Folders that shards may lie below: configuration/train/0000.parquet."""


def is_of_tables(folder: Path, suffixes: Sequence[str]) -> bool:
    """Whether it holds a table, beside images or above them, and is none of class folders."""
    return folder.is_dir() and bool(_candidates(folder, suffixes)) and not _has_classes(folder)


def is_of_shards(folder: Path) -> bool:
    """Whether it holds parquet files, and is none of class folders."""
    return folder.is_dir() and any(_shards(folder)) and not _has_classes(folder)


def tables_in(folder: Path, suffixes: Sequence[str]) -> list[Part]:
    """The one table, or one for each split: train.csv and test.csv, or train/metadata.csv and so on.

    Raises:
        DataError: it cannot be told which is meant.
    """
    found = _candidates(folder, suffixes)
    if found[0].parent != folder:
        of_folder = splits_of(file.parent.name for file in found)
        return [Part(file, of_folder.get(file.parent.name)) for file in found]
    of_name = splits_of(file.stem for file in found)
    split = {file: of_name.get(file.stem) for file in found}
    if 0 in split.values() and len(found) > 1 and found[0].stem.lower() != METADATA:
        return _one_each(folder, [Part(file, each) for file, each in split.items() if each is not None])
    likely = min(found, key=_rank)
    if sum(_rank(file) == _rank(likely) for file in found) > 1:
        names = " and ".join(sorted(file.name for file in found)[:3])
        raise DataError(f"{folder} holds several tables, such as {names}. Give the one that is meant.")
    return [Part(likely)]


def shards_in(folder: Path) -> list[Part]:
    """The files of one configuration, each with its split.

    Raises:
        DataError: there are several configurations, or a file is missing.
    """
    paths = [file.relative_to(folder).as_posix() for file in _shards(folder)]
    chosen = one_configuration(str(folder), paths, lambda name: f"{folder}/{name}")
    return parts_of(folder, chosen)


def one_configuration(
    place: str, paths: Iterable[str], address_of: Callable[[str], str], wanted: str = ""
) -> list[str]:
    """Of parquet files, by their relative paths, those of one configuration.

    Args:
        place: what a message calls where they lie.
        address_of: from a configuration to what names it as a dataset.
        wanted: the configuration; "" for the only one, or that which is called default.

    Raises:
        DataError: it is not there, there are several, or a file is missing.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folders = path.split("/")[:-1]
        found["/".join(each for each in folders if each != "data" and split_of(each) is None)].append(path)
    names = ", ".join(sorted(filter(None, found)))
    if wanted and wanted not in found:
        raise DataError(f"{place} has no configuration {wanted!r}. It has: {names or 'one without a name'}.")
    chosen = wanted or ("default" if "default" in found else min(found, default=""))
    if not wanted and len(found) > 1 and chosen != "default":
        first = address_of(names.split(", ")[0])
        raise DataError(f"{place} holds several datasets: {names}. Give one: {first}.")
    _check_shards(place, found[chosen])
    return found[chosen]


def parts_of(folder: Path, paths: Iterable[str]) -> list[Part]:
    """Parquet files below a folder, each with the split that its name tells of, or else its folder's."""
    names = {path: _telling_name(path) for path in paths}
    splits = splits_of(names.values())
    return [Part(folder / path, splits.get(name)) for path, name in names.items()]


def check_file(path: Path) -> Path:
    """The same. Raises DataError where it is no file."""
    if not path.is_file():
        raise DataError(f"No dataset at {path}: {why_not(path, 'file')}.")
    return path


def _candidates(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Tables in the folder itself; else those that lie with the images of a split."""
    inside = _files(folder, suffixes)
    if inside:
        return inside
    nested = []
    for entry in _entries(folder):
        if os.path.isdir(entry) and split_of(entry.name) is not None:
            nested += [file for file in _files(Path(entry.path), suffixes) if file.stem.lower() == METADATA]
    return nested if any(split_of(file.parent.name) == 0 for file in nested) else []


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if entry.name.lower().endswith(tuple(suffixes))
        and os.path.isfile(entry)
        and not ANSWERS.search(entry.name)
    ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    return sorted(_scan(folder), key=lambda entry: entry.name)


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What exists for us there. Nothing in a folder that cannot be read: whoever takes the one above reads
    it, or says that it cannot."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not is_left_out(entry.name))
    except OSError:
        return


def _shards(folder: Path, depth: int = DEPTH) -> Iterable[Path]:
    yield from _files(folder, ARROW)
    for entry in _entries(folder) if depth else ():
        if entry.is_dir(follow_symlinks=False) and not _has_images(Path(entry.path)):
            yield from _shards(Path(entry.path), depth - 1)


def _has_images(folder: Path) -> bool:
    """Whether images lie in it; one of the first files tells."""
    return any(has_image_suffix(entry.name) for entry in islice(_scan(folder), 100))


def _telling_name(path: str) -> str:
    """That of the file or of a folder above, whichever tells of a split; "" where none does."""
    *folders, name = path.split("/")
    names = (os.path.splitext(name)[0], *reversed(folders))
    return next((each for each in names if split_of(each) is not None), "")


def _check_shards(place: str, paths: Iterable[str]) -> None:
    """Raises DataError where a file is missing, or there twice, as the names number them."""
    there: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for path in paths:
        if match := SHARD.fullmatch(os.path.splitext(path)[0]):
            other = there[match[1], int(match[3])].setdefault(int(match[2]), path)
            if other != path:
                raise DataError(f"{place} holds one file twice: {other} and {path}. Remove one of them.")
    for (name, wanted), files in there.items():
        count = len(files.keys() & {*range(wanted)})
        if count < wanted:
            raise DataError(
                f"{place} holds {count:,} of {wanted:,} files {name}-….parquet. Download the others, too."
            )


def _one_each(folder: Path, parts: list[Part]) -> list[Part]:
    for part in parts:
        others = [other.file.name for other in parts if other.split == part.split and other is not part]
        for other in others:
            raise DataError(
                f"{folder} holds two tables of one split, {part.file.name} and {other}. Give the one that is"
                " meant."
            )
    return parts


def _rank(file: Path) -> int:
    return LIKELY.index(file.stem.lower()) if file.stem.lower() in LIKELY else len(LIKELY)


def _has_classes(folder: Path) -> bool:
    """Whether it is read as class folders, which it was before there were tables, and still is."""
    try:
        return len(Folder(folder).list_images().classes) > 1
    except DataError:
        return False
