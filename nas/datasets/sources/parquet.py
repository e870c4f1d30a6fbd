"""Parquet files, as Hugging Face's libraries write them: images or their paths, with labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.datasets.tables.arrow import SUFFIXES
from nas.datasets.tables.parts import check_file, is_of_shards, shards_in
from nas.datasets.tables.rows import Part
from nas.datasets.tables.tabled import Tabled
from nas.machine.files import absolute

__all__ = ["OPTIONS", "SINCE", "SUFFIXES", "open", "takes"]

OPTIONS = ("columns", "root")
SINCE = 2


def takes(source: str) -> bool:
    """A folder that holds such files, and no class folders."""
    return is_of_shards(absolute(source))


def open(
    source: str,
    downloads: Path,
    rules: int,
    columns: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Tabled:
    """Raises DataError where there is no such file."""
    path = absolute(source)
    if path.is_dir():
        name, parts = path.name, shards_in(path)
    else:
        name, parts = path.stem, [Part(check_file(path))]
    return Tabled(name, path, parts, columns=columns or {}, root=root, rules=rules)
