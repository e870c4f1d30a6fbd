"""SHA256SUMS: what an export wrote, byte for byte, in the format of `sha256sum -c`."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path

from nas.errors import StorageError

SUMS = "SHA256SUMS"

LARGEST = 8 * 2**20
"""Bytes of a text in an export that is read as a whole: 20,000 layers and classes have less."""


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write SHA256SUMS over files of `folder`."""
    lines = (f"{_digest(folder / name)}  {name}\n" for name in sorted(names))
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> frozenset[str]:
    """The names of the files that lie in `folder` as an export wrote them; files may have been taken away.

    Raises:
        StorageError: it is no export, or a file was changed since.
    """
    if not folder.is_dir():
        raise StorageError(f"There is no folder {folder}. Make one with: nas export --out {folder}")
    if not (folder / SUMS).exists():
        raise StorageError(f"{folder} is no export: it has no {SUMS}.")
    try:
        written = as_written(folder)
    except OSError as error:
        raise StorageError(f"The export {folder} cannot be read: {error}.") from error
    changed = sorted(name for name, same in written.items() if not same)
    if changed:
        raise StorageError(
            f"{folder}: {', '.join(changed)} changed since the export (by {SUMS}), so nothing of it is run."
            " Export it again."
        )
    return frozenset(written)


def as_written(folder: Path) -> dict[str, bool]:
    """Of the files in `folder` that SHA256SUMS names, whether each is as an export wrote it.

    A line that names no file directly in the folder is passed over; so it is none without SHA256SUMS.

    Raises:
        OSError: one of them cannot be read.
    """
    try:
        lines = read_small(folder / SUMS).splitlines()
    except FileNotFoundError:
        return {}
    sums = {name: digest for digest, mark, name in (line.partition("  ") for line in lines) if mark}
    return {
        name: _digest(folder / name) == digest
        for name, digest in sums.items()
        if Path(name).name == name and (folder / name).is_file()
    }


def read_small(file: Path) -> str:
    """The text of a regular file that is no larger than `LARGEST`, in UTF-8.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it is something else, or too large.
    """
    found = file.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
        raise OSError(f"{file.name} is no text that an export wrote")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OSError(f"{file.name} is no text that an export wrote") from error


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
