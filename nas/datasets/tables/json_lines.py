"""Tables of one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from nas.datasets.tables.table import SAMPLE, Table, text_of
from nas.errors import DataError

SUFFIXES = (".jsonl", ".ndjson")


def read_json_lines(file: Path) -> Table:
    """A table whose columns are the keys of its objects; what holds lists or objects is none.

    Raises:
        DataError: it cannot be read, or a line is no object.
    """
    head = list(islice(_objects(file), SAMPLE))
    names = dict.fromkeys(name for _, row in head for name in row)
    nested = {name for _, row in head for name, value in row.items() if isinstance(value, list | dict)}
    sample = {
        name: [_text(file, line, row.get(name)) for line, row in head] for name in names if name not in nested
    }
    return Table(file=file, sample=sample, read=partial(_read, file))


def _read(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {name: [] for name in names}
    for line, row in _objects(file):
        for name, column in columns.items():
            column.append(_text(file, line, row.get(name)))
    return columns


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """With their lines."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for line, text in enumerate(stream, 1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise DataError(f"{file}, line {line}: it is no JSON object, such as {{...}}.")
                    yield line, row
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8. Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}, line {line}: it is no JSON, of which one object is a line.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error


def _text(file: Path, line: int, value: Any) -> str:
    if isinstance(value, list | dict):
        raise DataError(f"{file}, line {line}: a list or an object, where other lines have one value.")
    text = text_of(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{file}, line {line}: a text holds half of a letter, {text!r}.")
    return text
