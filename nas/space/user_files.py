"""A user's Python file with the files beside it that it imports: read, known again, and run or not.

A file is run when a person names it. A database that somebody sent may name files too: such a file is run
only if this user has run it before, which is known by its content, wherever it lies. The record is kept in
the user's own cache folder, out of the reach of whoever writes a database.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Self

from nas.errors import InvalidSetting
from nas.machine.user_cache import cache_root

MAIN = ""
"""Stands for the name of the file itself, which may change."""

NEVER_LOCAL = sys.stdlib_module_names | {"nas", "search_spaces", "torch", "torchvision", "numpy", "optuna"}
"""What these names import never lies beside the file."""


@dataclass(frozen=True)
class Source:
    """A file as it was read; what runs later is this very content."""

    path: Path
    content: bytes


@dataclass(frozen=True)
class UserFiles:
    """A file of the user with the local modules that it imports, however indirectly."""

    path: Path
    modules: Mapping[str, Source]
    """By dotted name; the file itself is MAIN."""
    folders: Mapping[str, Path]
    """Of packages, by dotted name."""
    digest: str
    """Of all contents, wherever they lie and whatever the file itself is called."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Find the local modules by reading, not running, `import` statements; a package counts as a whole.

        Raises:
            InvalidSetting: there is no such file, or one that cannot be read.
        """
        if not path.is_file():
            raise InvalidSetting(f"No search space at {path}: there is no such file.")
        if path.suffix != ".py":
            raise InvalidSetting(f"{path} is no Python file: a search space is one file ending in .py.")
        modules: dict[str, Source] = {}
        folders: dict[str, Path] = {}
        contents: dict[str, str] = {}
        waiting = [(MAIN, path)]
        try:
            while waiting:
                name, file = waiting.pop()
                if (key := _key(name, file, path)) in contents:
                    continue
                content = file.read_bytes()
                contents[key] = hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
                if file.suffix == ".py":
                    modules[name] = Source(file, content)
                    for imported in _imports(content, name, file.stem == "__init__"):
                        waiting += _local(path.parent, imported, folders)
        except OSError as error:
            raise InvalidSetting(f"{error.filename} cannot be read: {error.strerror}.") from error
        digest = hashlib.sha256(json.dumps(sorted(contents.items())).encode()).hexdigest()
        return cls(path, modules, folders, digest)

    @property
    def known(self) -> bool:
        """Whether this user has run these very files."""
        mark = _mark(self.digest)
        return mark.exists() or mark in _unwritten

    def remember(self) -> None:
        """This user runs them. Where the cache cannot be written, each process has to be told anew."""
        mark = _mark(self.digest)
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError:
            _unwritten.add(mark)


_unwritten: set[Path] = set()
"""Marks that this process could not leave."""


def _mark(digest: str) -> Path:
    return cache_root() / "user_files" / digest


def _key(name: str, file: Path, main: Path) -> str:
    return MAIN if name == MAIN else file.relative_to(main.parent).as_posix()


def _imports(content: bytes, name: str, is_package: bool) -> Iterator[str]:
    """Dotted names that a module may import, those inside functions too."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # running it will say so, with its line
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _local(folder: Path, imported: str, folders: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """(name, file) of what importing `imported` may run out of `folder`."""
    parts = imported.split(".")
    if parts[0] in NEVER_LOCAL:
        return
    for depth in range(1, len(parts) + 1):
        name, place = ".".join(parts[:depth]), folder.joinpath(*parts[:depth])
        if (place / "__init__.py").is_file():
            if name not in folders:
                yield from _package(name, place, folders)
            return
        if (file := place.with_name(f"{place.name}.py")).is_file():
            yield name, file
            return
        if not place.is_dir():
            return
        if depth < len(parts):  # without __init__.py it may hold anything: only what is named is looked at
            folders[name] = place


def _package(name: str, place: Path, folders: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    folders[name] = place
    for file in sorted(place.rglob("*")):
        if "__pycache__" in file.parts or not file.name.endswith(tuple(all_suffixes())) or not file.is_file():
            continue
        inner = [*name.split("."), *file.relative_to(place).with_suffix("").parts]
        if inner[-1] == "__init__":
            inner.pop()
            folders[".".join(inner)] = file.parent
        yield ".".join(inner), file
