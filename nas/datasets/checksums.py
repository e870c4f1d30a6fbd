"""Whether the decoded files of a dataset are still those that were written.

A power cut may leave files of the right length that hold nothing, and a disk may flip a bit. A sum of 32 bits
finds such accidents; it is no protection against somebody who wants to deceive.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from nas.errors import StorageError
from nas.machine.files import flush

SUMS = "sums.json"
TEST = "test_"
"""How the names of the files begin that a search never opens."""

BLOCK = 1 << 20
"""Bytes read at once."""


def seal(folder: Path) -> None:
    """Bring the files of a folder to the disk, and beside them the size and the CRC-32 of each.

    Raises:
        OSError: they cannot be written.
    """
    files = [file for file in sorted(folder.iterdir()) if file.name != SUMS]
    sums = {file.name: [file.stat().st_size, _crc(file)] for file in files}
    (folder / SUMS).write_text(json.dumps(sums), encoding="utf-8")
    for path in (*files, folder / SUMS, folder):
        flush(path)


def is_whole(folder: Path) -> bool:
    """Whether all files have the size and the content that `seal` saw; of the test images, the size alone."""
    try:
        sums = _read(folder)
        return all((folder / name).stat().st_size == size for name, (size, _) in sums.items()) and _match(
            folder, sums, (name for name in sums if not name.startswith(TEST))
        )
    except OSError:
        return False


def check_test(folder: Path) -> None:
    """Compare the test files with their sums.

    Raises:
        StorageError: one has changed, or is gone. The folder is then no longer whole.
    """
    try:
        sums = _read(folder)
        if sums and _match(folder, sums, (name for name in sums if name.startswith(TEST))):
            return
        reason = "its files have changed since they were written"
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    (folder / SUMS).unlink(missing_ok=True)
    raise StorageError(
        f"The decoded test split in {folder} cannot be read: {reason}. Start again: it is decoded anew."
    )


def _read(folder: Path) -> dict[str, tuple[int, int]]:
    """By file; nothing where the sums themselves are damaged.

    Raises:
        OSError: there are none.
    """
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        return {str(name): (int(size), int(crc)) for name, (size, crc) in sums.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _match(folder: Path, sums: dict[str, tuple[int, int]], names: Iterable[str]) -> bool:
    return bool(sums) and all(_crc(folder / name) == sums[name][1] for name in names)


def _crc(file: Path) -> int:
    crc = 0
    with file.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return crc
