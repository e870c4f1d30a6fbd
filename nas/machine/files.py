"""Paths as people write them, and writing to a disk that may fill up, go read-only or lose its power."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nas.errors import InvalidSetting, StorageError

INTACT = "What was stored is intact; once that is mended, the same command goes on."

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


def expanded(path: Path | str) -> Path:
    """`path` with the home folder in the place of a tilde, which shells leave in --folder=~/studies.

    Raises:
        InvalidSetting: nobody knows that home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InvalidSetting(f"{path}: nobody knows that home folder. Write ./~ for a file.") from error


def absolute(path: Path | str) -> Path:
    """The same from the root on, `..` resolved by name, links left as they are.

    Raises:
        InvalidSetting: nobody knows that home folder.
    """
    return Path(os.path.abspath(expanded(path)))


def expanded_text(text: str) -> str:
    """The same of what may also be a known name, or a database URL, of which SQLite's hold a path.

    Raises:
        InvalidSetting: nobody knows that home folder.
    """
    scheme, slashes, path = text.rpartition(":///")
    if path.startswith("~") and (not slashes or scheme.startswith("sqlite")):
        return f"{scheme}{slashes}{expanded(path)}"
    return text


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the system says while `place`, a file or a folder, is written into one line.

    Raises:
        StorageError: there is no room, or nobody may write; what was there before is still there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StorageError(f"{error.filename or place}: {error.strerror}. {INTACT}") from error


@contextmanager
def written_whole(file: Path) -> Iterator[BinaryIO]:
    """A stream for the next content of `file`, which is there for good once the block is left, or not at all.

    Raises:
        OSError: the disk is full or read-only; what was there before is still there.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush(file.parent)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where they survive a power cut."""
    if os.name == "nt" and path.is_dir():  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
