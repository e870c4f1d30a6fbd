"""Where decoded images are kept: one folder per dataset and settings, which appears whole or not at all.

A folder is filled under a temporary name and then renamed, while its maker holds a lock. The operating system
releases the lock when a process dies, however it dies, so a temporary folder whose lock is free has no maker.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nas.datasets.checksums import is_whole, seal
from nas.errors import StorageError
from nas.machine.files import flush
from nas.machine.user_cache import cache_root

FORMAT = 2
"""Raise it when the decoded files change their meaning: older folders are then never looked at again."""

TEMPORARY = ".tmp"

LONGEST = 200
"""Bytes of a dataset's name in that of its folder; a file system takes 255 in all."""


def cache_folder(name: str, *settings: object) -> Path:
    """Where the decoded images of a dataset belong, made under these settings."""
    content = repr((FORMAT, name, *settings)).encode("utf-8", "surrogateescape")
    if len(os.fsencode(name)) > LONGEST:
        name = os.fsencode(name)[:LONGEST].decode(errors="ignore")
    return cache_root() / "datasets" / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"


def create(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a new folder, or wait where another process is writing it, and leave it at that.

    A folder that is there and damaged makes way. The new one is on the disk before it has its name, so that a
    power cut leaves all of it or nothing.

    Raises:
        StorageError: the folder cannot be written. Anything else that `fill` raises passes through.
    """
    temporary = folder.with_name(folder.name + TEMPORARY)
    with _storage_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove(folder.parent.glob(f"*{TEMPORARY}/"))
        with _lock(folder):
            if is_whole(folder):
                return
            shutil.rmtree(temporary, ignore_errors=True)
            if folder.exists():
                folder.rename(temporary)  # at once, as in `_remove`
                shutil.rmtree(temporary)
            temporary.mkdir()
            try:
                fill(temporary)
                seal(temporary)
                temporary.rename(folder)
                flush(folder.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def clear_cache() -> int:
    """Delete all decoded images but those just being written, and return the bytes freed. Downloads stay.

    Raises:
        StorageError: something there cannot be deleted.
    """
    root = cache_root() / "datasets"
    with _storage_errors(root):
        return _remove(root.glob(f"*{TEMPORARY}/")) + _remove(root.glob("*/"))


def _remove(folders: Iterable[Path]) -> int:
    """Delete the folders that no process is writing, and return the bytes freed."""
    freed = 0
    for path in folders:
        folder = path.with_name(path.name.removesuffix(TEMPORARY))
        temporary = folder.with_name(folder.name + TEMPORARY)
        with suppress(Timeout), _lock(folder, timeout=0):
            path.rename(temporary)  # at once: a reader finds all files of a folder, or none
            freed += sum(file.stat().st_size for file in temporary.iterdir())
            shutil.rmtree(temporary)
    return freed


def _lock(folder: Path, timeout: float = -1) -> FileLock:
    return FileLock(folder.with_name(f".{folder.name}.lock"), timeout=timeout)


@contextmanager
def _storage_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"Cannot keep decoded images in {root}: {reason}. Make room there, or name another folder "
            "in the environment variable NAS_CACHE."
        ) from error
