"""Tables of text: comma, semicolon, tab or bar between the cells, quotes around some of them."""

from __future__ import annotations

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from nas.datasets.image_files import has_image_suffix
from nas.datasets.tables.table import SAMPLE, Table
from nas.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = ",;\t|"
SUFFIXES = (".csv", ".tsv")


def read_delimited(file: Path) -> Table:
    """A table with a line of names above it; without one, its columns are called 1, 2, 3 …

    Raises:
        DataError: it cannot be read, is no text, or has fewer than two columns.
    """
    encoding = _encoding(file)
    heads = {each: _head(file, encoding, each) for each in DELIMITERS}
    fitting = {each: head for each, head in heads.items() if isinstance(head, list) and _width(head) > 1}
    if not fitting:
        broken = next((head for head in heads.values() if isinstance(head, DataError)), None)
        if broken is not None:
            raise broken
        raise DataError(
            f"{file} is no table: there are no two columns with a comma, semicolon or tab between."
        )
    delimiter = max(fitting, key=lambda each: (_evenness(fitting[each]), _width(fitting[each])))
    first, *rows = fitting[delimiter]
    bare = any(map(has_image_suffix, first))
    header = [name if name and not bare else str(number) for number, name in enumerate(first, 1)]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{file}: two columns are called {name!r}. Rename one of them.")
    rows = [first, *rows][:SAMPLE] if bare else rows
    sample = {
        name: [row[index] if index < len(row) else "" for row in rows] for index, name in enumerate(header)
    }
    return Table(file=file, sample=sample, read=partial(_read, file, encoding, delimiter, header, bare))


def _read(
    file: Path, encoding: str, delimiter: str, header: list[str], bare: bool, names: Sequence[str]
) -> dict[str, list[str]]:
    wanted = [header.index(name) for name in names]
    cells = itemgetter(*wanted, wanted[0])  # one more, so that it is a tuple
    rows = []
    with _records(file, encoding, delimiter) as reader:
        filled = (row for row in reader if "".join(row).strip())
        for row in islice(filled, 0 if bare else 1, None):
            if len(row) == len(header):
                rows.append(cells(row))
            else:
                raise DataError(
                    f"{file}, line {reader.line_num}: there are {len(row)} cells, and {len(header)} columns."
                    " Put quotes around a cell that holds what separates them."
                )
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: list(map(str.strip, column)) for name, column in zip(names, columns, strict=False)}


def _head(file: Path, encoding: str, delimiter: str) -> list[list[str]] | DataError:
    """The first records, or why there are none."""
    try:
        with _records(file, encoding, delimiter) as reader:
            rows = ([cell.strip() for cell in row] for row in islice(reader, SAMPLE + 1))
            return [row for row in rows if any(row)]
    except DataError as error:
        return error


def _width(head: list[list[str]]) -> int:
    return len(head[0]) if head else 0


def _evenness(head: list[list[str]]) -> float:
    """The share of records as wide as the first."""
    return sum(len(row) == len(head[0]) for row in head) / len(head)


def _encoding(file: Path) -> str:
    """UTF-8 with or without a mark, or UTF-16 with one."""
    try:
        with file.open("rb") as stream:
            start = stream.read(2)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    return "utf-16" if start in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"


@contextmanager
def _records(file: Path, encoding: str, delimiter: str) -> Iterator[Reader]:
    """Raises DataError, from the block too, where the file is none of text or its quotes do not match."""
    try:
        with file.open(encoding=encoding, newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
            yield reader
    except UnicodeError as error:
        raise DataError(f"{file} is no text in UTF-8. Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
