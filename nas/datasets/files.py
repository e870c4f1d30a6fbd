"""The files below a folder, and what tells cheaply whether they have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.errors import DataError


@dataclass(frozen=True, slots=True, order=True)
class FileEntry:
    """A file without its content."""

    path: str
    """Relative to the folder walked, with forward slashes."""
    size: int
    modified: int
    """Nanoseconds since the epoch."""
    kind: Literal["file", "link", "loop", "device"] = "file"
    """A file; a link that leads nowhere; a link to a folder that it lies in; a pipe, a socket or a device."""

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> FileEntry:
        kind: Literal["file", "device"] = "file" if stat.S_ISREG(status.st_mode) else "device"
        return cls(path, status.st_size, status.st_mtime_ns, kind)


def is_hidden(name: str) -> bool:
    """Whether it begins with a dot."""
    return name.startswith(".")


def walk(root: Path, left_out: Callable[[str], bool] = is_hidden) -> tuple[list[FileEntry], list[str]]:
    """All files and all folders below `root`, sorted by path; links are followed, and some names left out.

    Links that cannot be followed are among the files.

    Raises:
        DataError: a folder cannot be read.
    """
    files: list[FileEntry] = []
    folders: list[str] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [("", ())]  # with the real folders of the links followed
    try:
        while waiting:
            folder, left = waiting.pop()
            for entry in os.scandir(root / folder):
                if left_out(entry.name):
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    status = entry.stat()
                except OSError as error:
                    if isinstance(error, PermissionError) or not entry.is_symlink():
                        raise
                    files.append(_as(entry, path, "link"))
                    continue
                way = left
                if stat.S_ISDIR(status.st_mode) and entry.is_symlink():
                    way = (*left, os.path.realpath(root / folder))
                    if any(_lies_in(place, os.path.realpath(entry.path)) for place in way):
                        files.append(_as(entry, path, "loop"))
                        continue
                if stat.S_ISDIR(status.st_mode):
                    folders.append(path)
                    waiting.append((path, way))
                else:
                    files.append(FileEntry.of(path, status))
    except OSError as error:
        raise DataError(f"Cannot read {error.filename or root}: {error.strerror}.") from error
    return sorted(files), sorted(folders)


def _as(entry: os.DirEntry[str], path: str, kind: Literal["link", "loop"]) -> FileEntry:
    """A link itself, with nothing of what it leads to."""
    return FileEntry(path, 0, entry.stat(follow_symlinks=False).st_mtime_ns, kind)


def _lies_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)


def digest_files(entries: Iterable[FileEntry]) -> str:
    """Hexadecimal; another one as soon as a file is added, removed, or written again."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.path}\0{entry.size}\0{entry.modified}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def why_not(path: Path, wanted: str) -> str:
    """Why what lies at `path` is not the `wanted`: "file" or "folder"."""
    if path.is_symlink() and not path.exists():
        return "it is a link to what is not there"
    if path.is_dir():
        return f"it is a folder, no {wanted}"
    if path.exists():
        return f"it is no {wanted}"
    return f"there is no such {wanted}"
