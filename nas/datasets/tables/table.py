"""A table whose rows are images, in whatever format it lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SAMPLE = 100
"""Rows that are looked at to tell what the columns hold."""


def text_of(value: object) -> str:
    """A cell of a column of texts, numbers or truths; "" where there is nothing, or a number that is none."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


class Pictures(Protocol):
    """A column that holds the images themselves."""

    @property
    def file(self) -> Path: ...

    @property
    def paths(self) -> Sequence[str | None]:
        """What each image was called when it was written, if that is known."""

    @property
    def bare(self) -> bool:
        """Whether it holds paths alone, and no image."""

    def read(self, row: int) -> bytes:
        """One encoded image. Cheap as long as rows grow from call to call, and else after `scatter`.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def scatter(self) -> None:
        """Be ready for rows in any order."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is known of a table after a look at its first rows."""

    file: Path
    sample: Mapping[str, Sequence[str]]
    """The first rows of every column of texts or numbers."""
    read: Callable[[Sequence[str]], dict[str, list[str]]]
    """All rows of these columns, as texts without blanks around them; "" where there is nothing. Raises
    DataError."""
    pictures: Mapping[str, Callable[[], Pictures]] = field(default_factory=dict)
    """The columns that hold images themselves."""
    marked: Mapping[str, str] = field(default_factory=dict)
    """From roles to the columns that the table itself gives them."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the numbers in a column, if the table tells them."""

    @property
    def names(self) -> list[str]:
        """Of all columns that can be used."""
        return [*self.pictures, *self.sample]
