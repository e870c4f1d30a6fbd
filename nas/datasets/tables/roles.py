"""Which column of a table is what: as the user says, by its name, or by what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nas.datasets.image_files import has_image_suffix
from nas.datasets.tables.table import Table
from nas.errors import DataError

NONE = "none"
"""Instead of a column: no split and no group, whatever the names of columns are."""

NAMES = {
    "image": (
        *("filename", "file", "image", "img", "imagepath", "imgpath", "filepath", "path", "imagefile"),
        *("imagename", "imgname", "imageid", "imgid", "imageindex", "fname", "idcode", "id", "name"),
    ),
    "label": (
        *("label", "labels", "class", "classname", "target", "category", "classlabel", "y"),
        *("classid", "labelid", "categoryid", "diagnosis", "dx", "breed", "species", "labelname"),
    ),
    "split": ("split", "subset", "partition", "set", "dataset"),
    "group": (
        *("group", "groupid", "patient", "patientid", "subject", "subjectid", "scene", "sceneid"),
        *("lesionid", "caseid", "sequenceid", "videoid"),
    ),
}
"""By role, the likeliest first; in lower case, and without what is neither letter nor digit."""

INDEX = ("", "1", "index", "unnamed0", "row", "rowid")
"""Columns that number the rows."""

SHOWN = 8
"""So many columns are named in one message."""


@dataclass(frozen=True)
class Roles:
    """The columns of a table that say what we want to know."""

    image: str
    labels: tuple[str, ...]
    """One; or one for each class, of which every row marks one."""
    split: str | None
    group: str | None

    @property
    def all(self) -> list[str]:
        """All columns, each once."""
        known = (self.image, *self.labels, self.split, self.group)
        return [*dict.fromkeys(name for name in known if name is not None)]


def find_roles(table: Table, asked: Mapping[str, str]) -> Roles:
    """Args:
        asked: by role, the name or the number of a column, `none`, or for labels several, with + between.

    Raises:
        DataError: a column is not there, or which one it is cannot be told.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for role, text in asked.items():
        if text != NONE or text in table.names:
            whole = _column(table, text)
            parts = (
                (whole,) if whole or role != "label" else tuple(_column(table, p) for p in text.split("+"))
            )
            if None in parts:
                raise DataError(f"{table.file} has no column {text!r} for {role}. {_columns(table)}")
            chosen[role] = tuple(name for name in parts if name)
            for name in table.pictures.keys() & {*chosen[role]} if role != "image" else ():
                raise DataError(
                    f"{table.file}: column {name!r} holds images, and no {role}. {_columns(table)}"
                )
    image = _only(chosen.get("image")) or table.marked.get("image") or _image(table, _taken(chosen))
    chosen["image"] = (image,)
    for role in ("split", "group"):
        if role not in asked:
            named = _by_name(role, _free(table, chosen))
            chosen |= {role: (named,)} if named else {}
    labels = chosen.get("label") or _labels(table, _free(table, chosen))
    return Roles(image, labels, _only(chosen.get("split")), _only(chosen.get("group")))


def _image(table: Table, taken: set[str]) -> str:
    free = [name for name in table.names if name not in taken]
    held = [name for name in free if name in table.pictures]
    if len(held) == 1:
        return held[0]
    files = [name for name in free if name in table.sample and _holds_files(table.sample[name])]
    found = _by_name("image", held or files or free) or (files[0] if len(files) == 1 else None)
    if found is None:
        raise DataError(
            f"{table.file}: it cannot be told which column names the images. {_columns(table)} Say it with"
            " --columns image=NAME."
        )
    return found


def _labels(table: Table, free: list[str]) -> tuple[str, ...]:
    marked = table.marked.get("label")
    if marked in free:
        return (marked,)
    named = _by_name("label", free)
    if named is not None:
        return (named,)
    rest = [name for name in free if _plain(name) not in INDEX]
    if len(rest) == 1:
        return (rest[0],)
    marks = [name for name in rest if is_mark(table.sample[name])]
    rows = list(zip(*(map(is_one, table.sample[name]) for name in marks), strict=True))
    if len(marks) > 1 and rows and all(sum(row) == 1 for row in rows):
        return tuple(marks)
    raise DataError(
        f"{table.file}: it cannot be told which column is the label. {_columns(table)} Say it with --columns"
        " label=NAME; of one column for each class, with label=A+B+C."
    )


def is_mark(values: Iterable[str]) -> bool:
    """Whether they are all 0 or 1, in one of the ways to write it."""
    return {*map(str.lower, values)} <= {"0", "1", "0.0", "1.0", "false", "true"}


def is_one(value: str) -> bool:
    """Of those, whether it is 1."""
    return value.lower() in ("1", "1.0", "true")


def _holds_files(values: Sequence[str]) -> bool:
    return 2 * sum(map(has_image_suffix, values)) > len(values)


def _column(table: Table, text: str) -> str | None:
    """By its name, or by its number, from 1 on."""
    if text in table.names:
        return text
    alike = [name for name in table.names if name.lower() == text.lower()]
    if alike:
        return alike[0]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    return table.names[number - 1] if 0 < number <= len(table.names) else None


def _by_name(role: str, names: Iterable[str]) -> str | None:
    ranks = {known: rank for rank, known in enumerate(NAMES[role])}
    fitting = [name for name in names if _plain(name) in ranks]
    return min(fitting, key=lambda name: ranks[_plain(name)], default=None)


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _taken(chosen: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {name for names in chosen.values() for name in names}


def _free(table: Table, chosen: Mapping[str, tuple[str, ...]]) -> list[str]:
    taken = _taken(chosen)
    return [name for name in table.sample if name not in taken]


def _only(names: tuple[str, ...] | None) -> str | None:
    return names[0] if names else None


def _columns(table: Table) -> str:
    """Such as "Its columns: id, breed." """
    names = table.names
    more = f" and {len(names) - SHOWN:,} others" if len(names) > SHOWN else ""
    return f"Its columns: {', '.join(map(repr, names[:SHOWN]))}{more}."
