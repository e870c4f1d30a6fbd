"""A folder that appears whole or not at all, and takes the place of nothing but an earlier export.

It is filled under a hidden name beside its place, while its maker holds a lock. The operating system releases
the lock when a process dies, however it dies, so a hidden folder whose lock is free has no maker.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock, Timeout

from nas.errors import StorageError
from nas.exporters.exchange import exchange
from nas.exporters.sha256sums import SUMS, as_written, read_small
from nas.machine.files import flush

ARCHITECTURE = "architecture.json"
"""Names, under "files", everything that an export wrote: by it an earlier export is known."""

LITTER = frozenset({"__pycache__", ".DS_Store", "Thumbs.db", "desktop.ini"})
"""What Python and file managers leave: nobody misses it."""

HIDDEN = ".nas-export-"
"""How hidden folders begin. Each holds `LOCK`; "new", which is being filled; and "old", in which what is
replaced lies for an instant, under its name."""

LOCK = "lock"


def check_replaceable(folder: Path, *, overwrite: bool = False) -> None:
    """Nothing may lie at `folder` but an empty folder, or an earlier export as it was written.

    Args:
        overwrite: files may have been added to it or edited.

    Raises:
        StorageError: something else does.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StorageError(f"{folder} is a file. Choose a folder with --out.")
    present = {path.name for path in folder.iterdir()} - LITTER
    if present and not _is_export(folder):
        raise StorageError(f"{folder} is no earlier export, so it is left alone. Choose another with --out.")
    if present and not overwrite:
        ours = as_written(folder)
        said = [
            f"{what} ({_some(names)})"
            for what, names in (
                ("files that no export wrote", present - ours.keys() - {SUMS}),
                ("files that were edited since", {name for name, same in ours.items() if not same}),
            )
            if names
        ]
        if said:
            raise StorageError(
                f"{folder} holds {' and '.join(said)}. Move them away, choose another folder with --out,"
                " or lose them with --overwrite."
            )


@contextmanager
def replaced(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to fill; when the block ends well, it takes the place of `folder`.

    A process that is killed leaves `folder` as it was, or as it shall be; only where the system cannot
    exchange two folders, there is an instant without any, which `restore` mends. What else it leaves is
    hidden, and the next call clears it.

    Args:
        overwrite: as in `check_replaceable`, which is asked again when the block ends.

    Raises:
        StorageError: meanwhile somebody has put something else there.
        OSError: the parent of `folder` cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in _dead(folder.parent):
        _bring_back(left)
        shutil.rmtree(left, ignore_errors=True)
    with _hidden(folder.parent) as hidden:
        new, old = hidden / "new", hidden / "old" / folder.name
        new.mkdir()  # unlike the folder around it, it has the mode of any new folder
        yield new
        check_replaceable(folder, overwrite=overwrite)
        for file in new.iterdir():
            flush(file)
        flush(new)
        if not folder.exists():
            new.rename(folder)
        elif not exchange(new, folder):
            old.parent.mkdir()
            folder.rename(old)
            new.rename(folder)
        flush(folder.parent)


def restore(folder: Path) -> None:
    """Bring `folder` back where an export that was replacing it was killed in between; else do nothing.

    Raises:
        OSError: its parent cannot be written.
    """
    if not folder.exists():
        for hidden in _dead(folder.parent):
            _bring_back(hidden)


def _is_export(folder: Path) -> bool:
    """Whether a description lies there that names itself."""
    try:
        return ARCHITECTURE in json.loads(read_small(folder / ARCHITECTURE))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # somebody else's file of this name
        return False


def _some(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return ", ".join([first, *rest[:2]]) + (" and others" if len(rest) > 2 else "")


@contextmanager
def _hidden(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` whose lock this process holds; it is gone after the block in any case."""
    hidden, lock = _locked(parent)
    try:
        yield hidden
    finally:
        _bring_back(hidden)
        lock.release()
        shutil.rmtree(hidden, ignore_errors=True)  # what may not be removed does not undo the export


def _locked(parent: Path) -> tuple[Path, FileLock]:
    while True:
        hidden = Path(mkdtemp(prefix=HIDDEN, dir=parent))
        lock = FileLock(hidden / LOCK, timeout=0)
        with suppress(Timeout, FileNotFoundError):  # before it was locked, somebody took it for a dead one's
            with suppress(NotImplementedError):  # a file system without locks: nobody will dare to clear it
                lock.acquire()
            if hidden.exists():
                return hidden, lock


def _dead(parent: Path) -> Iterator[Path]:
    """The hidden folders in `parent` whose makers are dead, each locked while it is looked at."""
    for hidden in parent.glob(f"{HIDDEN}*/"):
        # OSError: it is locked, just gone, or another user's; the other: a file system without locks
        with suppress(OSError, NotImplementedError), FileLock(hidden / LOCK, timeout=0):
            yield hidden


def _bring_back(hidden: Path) -> None:
    """What was to be replaced, where nothing has replaced it."""
    for old in hidden.glob("old/*"):
        if not (place := hidden.parent / old.name).exists():
            old.rename(place)
