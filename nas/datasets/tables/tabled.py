"""Images that tables tell of, as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.files import FileEntry, digest_files
from nas.datasets.image_files import open_image, open_native
from nas.datasets.source import SPLITS, Listing
from nas.datasets.tables import arrow, delimited, json_lines
from nas.datasets.tables.classes import in_order
from nas.datasets.tables.roles import Roles, find_roles
from nas.datasets.tables.rows import TRAIN, Part, Row, is_split_column, rows_of
from nas.datasets.tables.table import Table
from nas.errors import DataError
from nas.machine.texts import plural
from nas.space import AUGMENTATIONS

if TYPE_CHECKING:
    from PIL import Image

SHOWN = 3
"""So many values of a column, or names of columns, are named in one message."""

READERS = {
    **dict.fromkeys(delimited.SUFFIXES, delimited.read_delimited),
    **dict.fromkeys(json_lines.SUFFIXES, json_lines.read_json_lines),
    **dict.fromkeys(arrow.SUFFIXES, arrow.read_parquet),
}


class Tabled:
    """A dataset of one or more tables, whose rows are images with a label each, maybe a split and a group.

    Images are in the order of their paths, as those of a folder are; those without a path in that of the
    rows.
    """

    augmentations = AUGMENTATIONS

    def __init__(
        self,
        name: str,
        place: Path,
        parts: Sequence[Part],
        *,
        columns: Mapping[str, str],
        root: Path | None,
        rules: int,
        native: bool = False,
        called: str = "",
        trusted: bool = True,
    ) -> None:
        """Args:
        place: the table, or the folder that holds several.
        columns: by role, what the user says of them: see `find_roles`.
        root: from where paths in the tables lead; None for the folder of each table.
        native: whether .npy files are images, too.
        called: what a message calls it, if not by its place.
        trusted: whether the tables are the user's own, and their paths may lead anywhere; else these stay
            below the folder of each table, unless `root` says where they lead.
        """
        self.name = name
        self._place = called or str(place)
        self._folder = place if place.is_dir() else place.parent
        self._base = root or self._folder
        self._parts = sorted(parts, key=lambda part: (part.split or TRAIN, part.file))
        self._columns = columns
        self._native = native
        self._root = root
        self._rules = rules
        self._anywhere = trusted or root is not None
        self._notes: list[str] = []
        self._lacks: list[str] = []
        self._classes: tuple[str, ...] = ()

    def key(self) -> str:
        listing = self.list_images()
        try:
            tables = [FileEntry.of(part.file.name, part.file.stat()) for part in self._parts]
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error
        images = digest_files(row.file for row in self._rows if row.file is not None)
        seen = hashlib.sha256(listing.labels.tobytes() + listing.splits.tobytes())
        seen.update(b"" if listing.groups is None else listing.groups.tobytes())
        told = f"{listing.classes} {listing.notes} {listing.lacks} {self._root}"
        return f"{self._place} {digest_files(tables)} {images} {seen.hexdigest()} {told}"

    def list_images(self) -> Listing:
        """Raises DataError: a table cannot be read or understood, or none of its images is there."""
        rows = self._rows
        label_of = {name: label for label, name in enumerate(self._classes)}
        return Listing(
            place=self._place,
            classes=self._classes,
            labels=np.array([label_of[row.label] for row in rows], np.int64),
            splits=np.array([row.split for row in rows], np.int8),
            names=[row.name for row in rows],
            read=self._open,
            notes=tuple(self._notes),
            groups=self._groups(),
            lacks=tuple(self._lacks),
        )

    def _open(self, index: int) -> Image.Image | NDArray[Any]:
        row = self._rows[index]
        if row.held is None:
            return (open_native if self._native else open_image)(self._base / row.name, self._rules)
        pictures, number = row.held
        return open_image(pictures.read(number), self._rules)

    @cached_property
    def _rows(self) -> list[Row]:
        """Those with an image and a label, each image once."""
        tables = [(part, READERS[part.file.suffix.lower()](part.file)) for part in self._parts]
        roles = self._find_roles(tables[0][1])
        rows = [row for part, table in tables for row in self._read(part, table, roles)]
        rows = self._named(self._complete(rows, roles))
        names = tables[0][1].classes.get(roles.labels[0], ())
        used = {row.label for row in rows}
        for name in used:
            if not name.isprintable():
                raise DataError(f"{self._place}: a class cannot be called {name!r}. Correct the table.")
        self._classes = tuple(name for name in names if name in used) if used <= {*names} else in_order(used)
        _scatter(rows)
        return rows

    def _find_roles(self, table: Table) -> Roles:
        roles = find_roles(table, self._columns)
        numbers = {part for text in self._columns.values() for part in text.split("+") if part.isdecimal()}
        if table.file.suffix.lower() in delimited.SUFFIXES and numbers - {*table.names}:
            names = ", ".join(map(repr, table.names[:SHOWN]))
            self._notes.append(f"the first line of {table.file.name} is taken for names of columns: {names}")
        if roles.split and "split" not in self._columns and not is_split_column(table.sample[roles.split]):
            named = roles.split
            roles = find_roles(table, {**self._columns, "split": "none"})
            if named not in roles.all:
                values = ", ".join(map(repr, [*dict.fromkeys(table.sample[named])][:SHOWN]))
                self._notes.append(f"column {named!r} is no split (values {values}) and was not used")
        told = {
            "image": roles.image,
            "label": "+".join(roles.labels),
            "split": roles.split,
            "group": roles.group,
        }
        self._notes.append(
            "columns: " + ", ".join(f"{role} {name!r}" for role, name in told.items() if name is not None)
        )
        return roles

    def _read(self, part: Part, table: Table, roles: Roles) -> list[Row]:
        lacking = [name for name in roles.all if name not in table.names]
        unlabelled = f"{part.file.name} has no labels, and was left out"
        first = part is self._parts[0]
        if lacking and not first and set(lacking) <= {*roles.labels}:
            self._notes.append(unlabelled)
            return []
        for name in lacking:
            raise DataError(f"{part.file} has no column {name!r}, which {self._parts[0].file.name} has.")
        root = self._root or part.file.parent
        rows = rows_of(part, table, roles, root, self._base, anywhere=self._anywhere)
        if rows and not first and not any(row.label for row in rows):
            self._notes.append(unlabelled)
            return []
        return rows

    def _complete(self, rows: list[Row], roles: Roles) -> list[Row]:
        """Those that have an image and a label; the others are told."""
        there = [row for row in rows if row.file or row.held]
        if rows and not there:
            raise DataError(
                f"{self._place}: of {plural(len(rows), 'image')} in column {roles.image!r}, such as"
                f" {rows[0].name!r}, none is in {self._root or self._base} or below. Say where they lie with"
                " --root FOLDER, or which column names them with --columns image=NAME."
            )
        labelled = [row for row in there if row.label]
        for some, of, what in ((there, rows, "are not there"), (labelled, there, "have no label")):
            if len(some) < len(of):
                kept = {*map(id, some)}
                one = next(row.name for row in of if id(row) not in kept)
                counts = f"{len(of) - len(some):,} of {plural(len(of), 'image')}"
                self._lacks.append(f"{counts} {what}, such as {one!r}")
        return labelled

    def _named(self, rows: list[Row]) -> list[Row]:
        """In the order of their names, each image once.

        Raises:
            DataError: an image has two labels, splits or groups.
        """
        if any(row.held for row in rows) and len({row.name for row in rows} - {""}) < len(rows):
            return [row._replace(name=self._by_place(row)) for row in rows]
        kept: dict[str, Row] = {}
        for row in rows:
            other = kept.setdefault(row.name, row)
            if other is row:
                continue
            for what, one, two in (
                ("labels", other.label, row.label),
                ("splits", SPLITS[other.split], SPLITS[row.split]),
                ("groups", other.group, row.group),
            ):
                if one != two:
                    raise DataError(
                        f"{self._place}: {row.name} is there twice, with the {what} {one!r} and {two!r}."
                        " Correct the table."
                    )
        if len(kept) < len(rows):
            more = plural(len(rows) - len(kept), "row")
            self._notes.append(f"{more} left out, of an image that is there already")
        return sorted(kept.values(), key=lambda row: row.name)

    def _by_place(self, row: Row) -> str:
        """What an image is called that has no name of its own: by its table, and its row there."""
        if row.held is None:
            return row.name
        pictures, number = row.held
        return f"{pictures.file.relative_to(self._folder).as_posix()}[{number}]"

    def _groups(self) -> NDArray[np.int64] | None:
        """The group of each image; one that has none is alone in its own."""
        named = [row.group or f"\0{number}" for number, row in enumerate(self._rows)]
        if not any(row.group for row in self._rows):
            return None
        known = {name: number for number, name in enumerate(dict.fromkeys(named))}
        return np.array([known[name] for name in named], np.int64)


def _scatter(rows: Sequence[Row]) -> None:
    """Tell the columns whose images are not wanted in their order."""
    last: dict[int, int] = {}
    for pictures, number in filter(None, (row.held for row in rows)):
        if last.get(id(pictures), -1) > number:
            pictures.scatter()
        last[id(pictures)] = number
