"""A table beside its images: CSV, or JSON lines, with a column for the image and one for the label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.datasets.tables import delimited, json_lines
from nas.datasets.tables.parts import check_file, is_of_tables, tables_in
from nas.datasets.tables.rows import Part
from nas.datasets.tables.tabled import Tabled
from nas.machine.files import absolute

SUFFIXES = (*delimited.SUFFIXES, *json_lines.SUFFIXES)
OPTIONS = ("columns", "root", "native")
SINCE = 2


def takes(source: str) -> bool:
    """A folder that holds such a table, and no class folders."""
    return is_of_tables(absolute(source), SUFFIXES)


def open(
    source: str,
    downloads: Path,
    rules: int,
    columns: Mapping[str, str] | None = None,
    root: Path | None = None,
    native: bool = False,
) -> Tabled:
    """Raises DataError where there is no such table."""
    path = absolute(source)
    if path.is_dir():
        name, parts = path.name, tables_in(path, SUFFIXES)
    else:
        name, parts = path.stem, [Part(check_file(path))]
    return Tabled(name, path, parts, columns=columns or {}, root=root, rules=rules, native=native)
