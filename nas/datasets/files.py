"""The files below a folder, and what tells cheaply whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.errors import DataError


@dataclass(frozen=True, slots=True, order=True)
class FileEntry:
    """A file without its content."""

    path: str
    """Relative to the folder walked, with forward slashes."""
    size: int
    modified: int
    """Nanoseconds since the epoch."""

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> FileEntry:
        return cls(path, status.st_size, status.st_mtime_ns)


def is_hidden(name: str) -> bool:
    """Whether it begins with a dot."""
    return name.startswith(".")


def walk(root: Path, left_out: Callable[[str], bool] = is_hidden) -> tuple[list[FileEntry], list[str]]:
    """All files and all folders below `root`, sorted by path; links are followed, and some names left out.

    Raises:
        DataError: a folder cannot be read.
    """
    files: list[FileEntry] = []
    folders: list[str] = []
    waiting = [""]
    try:
        while waiting:
            folder = waiting.pop()
            for entry in os.scandir(root / folder):
                if left_out(entry.name):
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    folders.append(path)
                    waiting.append(path)
                else:
                    files.append(FileEntry.of(path, entry.stat()))
    except OSError as error:
        raise DataError(f"Cannot read {error.filename or root}: {error.strerror}.") from error
    return sorted(files), sorted(folders)


def digest_files(entries: Iterable[FileEntry]) -> str:
    """Hexadecimal; another one as soon as a file is added, removed, or written again."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.path}\0{entry.size}\0{entry.modified}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
