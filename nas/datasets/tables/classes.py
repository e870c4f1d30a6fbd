"""From the labels of tables, as texts, to classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from nas.datasets.tables.roles import is_mark, is_one

NUMBER = re.compile(r"[+-]?\d{1,18}")
WHOLE = re.compile(r"([+-]?\d{1,18})\.0*")
"""A whole number, as a column of numbers with gaps in it is written."""

HIDDEN = "-1"
"""The label of images whose label is not public."""


def labels_of(columns: Mapping[str, Sequence[str]], names: tuple[str, ...] = ()) -> list[str]:
    """The class of each row; "" where it has none.

    Args:
        columns: one with a label; or one for each class, of which every row marks one.
        names: those of the numbers 0, 1, 2 … in the column.

    Raises:
        ValueError: a number has no name, or a row marks several columns. It tells which.
    """
    if len(columns) > 1:
        return _marked(columns)
    (values,) = columns.values()
    text_of = {value: whole_number(value) for value in dict.fromkeys(values)}
    if names:
        named = {str(number): name for number, name in enumerate(names)} | {HIDDEN: "", "": ""}
        for text in text_of.values():
            if text not in named:
                raise ValueError(f"there is a label {text!r}, and {len(names)} names of classes, from 0 on")
        text_of = {value: named[text] for value, text in text_of.items()}
    return [text_of[value] for value in values]


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Each once: numbers by their size, texts by their letters."""
    known = {*labels}
    if all(map(NUMBER.fullmatch, known)):
        return tuple(sorted(known, key=lambda text: (int(text), text)))
    return tuple(sorted(known))


def _marked(columns: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for number, row in enumerate(zip(*columns.values(), strict=True), 1):
        ones = [name for name, value in zip(columns, row, strict=True) if is_one(value)]
        if any(row) and not is_mark(row):
            odd = next(value for value in row if not is_mark([value]))
            raise ValueError(f"row {number} holds {odd!r} where 0 or 1 marks a class")
        if any(row) and len(ones) != 1:
            raise ValueError(f"row {number} marks {len(ones)} classes; a classifier needs one for each image")
        found.append(ones[0] if ones else "")
    return found


def whole_number(value: str) -> str:
    """The same, but 2 for 2.0."""
    match = WHOLE.fullmatch(value)
    return match[1] if match else value
