"""Our exception hierarchy: everything here is something the user can mend.

NasError
├── UnknownName         a search space, dataset or study that nobody provides
├── InvalidSetting      a flag or a line of a recipe that cannot be used
├── BrokenFile          an error inside a user's own Python file
│   └── SearchesItself  a script without a main guard, given as its own search space
├── DataError           images that cannot be read, or that make no dataset
├── DeviceError         a device that this machine does not have
├── StorageError        a database or folder that cannot be opened or written
├── StudyError          a study that is missing, locked, or made with other settings
├── SearchFailed        a search that cannot go on
└── VerificationFailed  an exported file that does not do what the network does (exit code 1)

The command line prints the message and exits with code 2; our own invariants are `assert`s.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

LONGEST = 1000
"""Characters of what an exception says that are kept."""


def text_of(error: BaseException) -> str:
    """What an exception of anybody's says: it may fail to, or go on for ever."""
    try:
        return str(error)[: 100 * LONGEST]
    except Exception as broken:
        return f"its text cannot be made: {type(broken).__name__}"


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; its class where it says nothing."""
    return next(iter(text_of(error).strip().splitlines()), type(error).__name__)


def in_one_line(error: BaseException) -> str:
    """Its type and the first line of its text."""
    first = next(iter(text_of(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:LONGEST]}"


class NasError(Exception):
    """Whatever the user can mend. The message says what was asked, what exists and what to do."""


class UnknownName(NasError):
    """A name that nobody provides; the message offers the nearest known one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        close = get_close_matches(name, known, n=1)
        question = f" Did you mean {close[0]!r}?" if close else ""
        listing = f" Known: {', '.join(known)}." if known else ""
        super().__init__(f"No {kind} named {name!r}.{question}{listing}{' ' + hint if hint else ''}")


class InvalidSetting(NasError):
    """A flag or a recipe line that cannot be used."""


class BrokenFile(NasError):
    """An error inside a user's own file, shown with its file and line rather than ours."""

    @classmethod
    def from_exception(cls, path: Path, error: BaseException, others: Iterable[Path] = ()) -> Self:
        """Blame the deepest line of `path`, or of the `others` that it imports, in the traceback of `error`;
        or the file as a whole."""
        files = {str(each) for each in (path, *others)}
        where = str(path)
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename in files:
                where = f"{frame.filename}, line {frame.lineno}"
        if isinstance(error, SyntaxError) and error.filename in files:
            where = f"{error.filename}, line {error.lineno}"
        reason = error.msg if isinstance(error, SyntaxError) else text_of(error)[:LONGEST]
        ends = ": it ends the whole program, which it must not do" if isinstance(error, SystemExit) else ""
        return cls(f"{where}: {type(error).__name__}: {reason}{ends}")


class SearchesItself(BrokenFile):
    """A script that starts a search of itself when it is imported."""


class DataError(NasError):
    """Images that cannot be read, or that make no dataset."""


class DeviceError(NasError):
    """A device that this machine does not have."""


class StorageError(NasError):
    """A database or folder that cannot be opened or written."""


class StudyError(NasError):
    """A study that is missing, locked by another driver, or made with other settings."""


class SearchFailed(NasError):
    """A search that cannot go on, with its reason."""


class VerificationFailed(NasError):
    """An exported file that does not do what the network does."""

    def __init__(self, message: str, export: Any = None) -> None:
        super().__init__(message)
        self.export = export
        """The `nas.exporters.Export` of what was written nevertheless: the files of the other formats."""
