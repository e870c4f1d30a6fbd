"""Tables in parquet files: with paths like any table, or with the images, as Hugging Face writes them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nas.datasets.tables.table import SAMPLE, Table, text_of
from nas.errors import DataError
from nas.machine.user_cache import cache_root

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

SUFFIXES = (".parquet",)

AT_ONCE = 64
"""Images that are taken out of a file together."""
KEPT = 4
"""So many such batches are kept: threads take images a little out of order."""


def read_parquet(file: Path) -> Table:
    """Raises DataError: it cannot be read, is no parquet file, or pyarrow is missing."""
    with errors_of(file):
        opened = _open(file)
        schema = opened.schema_arrow
        leaves = {field.name: _leaf(field) for field in schema}
        pictures = {name: leaf for name, leaf in leaves.items() if leaf}
        scalars = [field.name for field in schema if _is_scalar(field.type)]
        first = next(opened.iter_batches(SAMPLE, columns=scalars), None) if scalars else None
        sample = {name: _texts(first.column(name)) if first is not None else [] for name in scalars}
    marked, classes = _told(schema, pictures, scalars)
    return Table(
        file=file,
        sample=sample,
        read=partial(_read, file),
        pictures={name: partial(_make_pictures, file, name, leaf) for name, leaf in pictures.items()},
        marked=marked,
        classes=classes,
    )


class ArrowPictures:
    """The encoded images of one column, taken out batch by batch."""

    def __init__(self, file: Path, column: str, leaf: str, paths: list[str | None], bare: bool) -> None:
        """`leaf` is the path of what holds bytes: the column itself, or a field of it."""
        self.paths = paths
        self.bare = bare
        self.file = file
        self._column = column
        self._leaf = leaf
        self._lock = Lock()
        self._scattered = False
        self._spool: Spool | None = None
        self._stream: Iterator[tuple[int, pa.Array]] = iter(())
        self._batches: list[tuple[int, pa.Array]] = []

    def scatter(self) -> None:
        self._scattered = True

    def read(self, row: int) -> bytes:
        content = self._spooled().read(row) if self._scattered else self._from_stream(row)
        if not content:
            raise OSError("it has neither content nor a file of its own")
        return content

    def _from_stream(self, row: int) -> bytes | None:
        with self._lock:
            if not self._batches or row < self._batches[0][0]:
                self._stream, self._batches = self._rows(), []
            while not self._batches or row >= self._batches[-1][0] + len(self._batches[-1][1]):
                self._batches = [*self._batches[1 - KEPT :], next(self._stream)]
            batches = list(self._batches)
        start, batch = next(each for each in reversed(batches) if each[0] <= row)
        content: bytes | None = batch[row - start].as_py()
        return content

    def _rows(self) -> Iterator[tuple[int, pa.Array]]:
        """All batches, each with the number of its first row."""
        start = 0
        with errors_of(self.file):
            for batch in _open(self.file).iter_batches(AT_ONCE, columns=[self._leaf], use_threads=False):
                column = batch.column(0)
                values = (
                    column.field(self._leaf.removeprefix(f"{self._column}.")) if _nested(column) else column
                )
                yield start, values
                start += len(values)

    def _spooled(self) -> Spool:
        with self._lock:
            if self._spool is None:
                self._spool = Spool(value.as_py() for _, batch in self._rows() for value in batch)
            return self._spool


class Spool:
    """Contents copied into a file that nobody else sees, so that each can be read alone."""

    def __init__(self, contents: Iterator[bytes | None]) -> None:
        root = cache_root()
        root.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=root)  # noqa: SIM115
        self._lock = Lock()
        self._ends = [0]
        for content in contents:
            self._file.write(content or b"")
            self._ends.append(self._file.tell())

    def read(self, row: int) -> bytes:
        with self._lock:
            self._file.seek(self._ends[row])
            return self._file.read(self._ends[row + 1] - self._ends[row])


@contextmanager
def errors_of(file: Path) -> Iterator[None]:
    """Whatever pyarrow says of a broken file, in one line.

    Raises:
        DataError: it has said something.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise DataError(f"{file} cannot be read: {reason}.") from error
    except (ValueError, TypeError, LookupError, MemoryError, OverflowError, NotImplementedError) as error:
        raise DataError(f"{file} is no readable parquet file: {_first_line(error)}.") from error
    except RuntimeError as error:  # of a generator that ends, and of Arrow itself
        raise DataError(f"{file} is no readable parquet file: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _open(file: Path) -> parquet.ParquetFile:
    try:
        from pyarrow import parquet
    except ImportError as error:
        need = "parquet files need pyarrow: pip install 'optuna-nas[huggingface]'"
        raise DataError(f"{file}: {need}") from error
    return parquet.ParquetFile(file)


def _read(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    with errors_of(file):
        found = _open(file).read(columns=list(names))
        return {name: _texts(found.column(name)) for name in names}


def _make_pictures(file: Path, column: str, leaf: str) -> ArrowPictures:
    with errors_of(file):
        opened = _open(file)
        paths: list[str | None] = [None] * opened.metadata.num_rows
        if leaf != column and opened.schema_arrow.field(column).type.get_field_index("path") >= 0:
            inner = opened.read(columns=[f"{column}.path"]).column(0).combine_chunks()
            paths = inner.field("path").to_pylist() if len(paths) else []
        return ArrowPictures(file, column, leaf, paths, _is_empty(opened, leaf))


def _is_empty(opened: parquet.ParquetFile, leaf: str) -> bool:
    """Whether a column holds nothing at all, by what the file says of it."""
    number = next(index for index in range(len(opened.schema)) if opened.schema.column(index).path == leaf)
    groups = [opened.metadata.row_group(index) for index in range(opened.num_row_groups)]
    statistics = [(group.num_rows, group.column(number).statistics) for group in groups]
    return bool(groups) and all(
        each is not None and each.has_null_count and each.null_count == rows for rows, each in statistics
    )


def _leaf(field: pa.Field) -> str | None:
    """The path of what holds bytes in a column; None where nothing does."""
    from pyarrow import types

    def holds_bytes(kind: pa.DataType) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    if holds_bytes(field.type):
        return str(field.name)
    if types.is_struct(field.type):
        index = field.type.get_field_index("bytes")
        if index >= 0 and holds_bytes(field.type.field(index).type):
            return f"{field.name}.bytes"
    return None


def _nested(column: pa.Array) -> bool:
    from pyarrow import types

    return bool(types.is_struct(column.type))


def _is_scalar(kind: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    tests: tuple[Callable[[Any], bool], ...] = (
        *(types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean),
    )
    return any(test(kind) for test in tests)


def _texts(column: pa.Array | pa.ChunkedArray) -> list[str]:
    return list(map(text_of, column.to_pylist()))


def _told(
    schema: pa.Schema, pictures: dict[str, str], scalars: list[str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What Hugging Face's libraries write beside the columns: which are images, and the names of classes."""
    marked: dict[str, str] = {}
    classes: dict[str, tuple[str, ...]] = {}
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = [(name, feature["_type"], feature) for name, feature in features.items()]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}, {}
    for name, kind, feature in kinds:
        if kind == "Image" and name in (*pictures, *scalars):
            marked.setdefault("image", name)
        names = feature.get("names")
        if (
            kind == "ClassLabel"
            and name in scalars
            and isinstance(names, list)
            and len(names) == len({*map(str, names)})
        ):
            marked.setdefault("label", name)
            classes[name] = tuple(map(str, names))
    return marked, classes
