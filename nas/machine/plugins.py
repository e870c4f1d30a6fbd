"""What others may add: one new file in a folder of ours, or an entry point of another distribution.

A file is known by being there, and is imported when it is asked for. One whose name begins with `_` is none.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from nas.errors import BrokenFile, NasError, UnknownName, text_of


def shipped(package: str) -> list[str]:
    """The names of the files of a package, sorted."""
    files = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(file.name for file in files if not file.ispkg and not file.name.startswith("_"))


def known(package: str, group: str) -> list[str]:
    """These, and what other distributions offer in an entry-point group."""
    return sorted({*shipped(package), *(point.name for point in entry_points(group=group))})


def load(kind: str, name: str, package: str, group: str, hint: str = "") -> Any:
    """The module of this name; of another distribution, whatever its entry point names.

    Args:
        kind: what a message calls it.
        hint: a sentence for who names what is not there.

    Raises:
        UnknownName: there is none.
        BrokenFile: that of another distribution cannot be imported.
    """
    if name in shipped(package):
        return importlib.import_module(f"{package}.{name}")
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        raise UnknownName(kind, name, known(package, group), hint)
    try:
        return points[0].load()
    except (KeyboardInterrupt, NasError):
        raise
    except BaseException as error:  # the code is theirs, and may even end the program
        raise BrokenFile(f"{kind.capitalize()} {name!r} ({points[0].value}): {text_of(error)}") from error
