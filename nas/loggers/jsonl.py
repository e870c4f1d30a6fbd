"""Every event as one line of JSON in `events.jsonl`, in the folder of the study."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from nas.errors import StorageError
from nas.events import Event, Watch

FILE = "events.jsonl"


@contextmanager
def make(folder: Path) -> Iterator[Watch]:
    """A line is written at once, as a whole: what a crash has cut short, the next run takes away.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        file = open(folder / FILE, "ab", buffering=0)  # noqa: SIM115 - closed below
        _drop_torn_end(folder / FILE)
    except OSError as error:
        raise StorageError(f"{folder / FILE} cannot be written: {error.strerror}.") from error
    with file:

        def log(event: Event) -> None:
            content = line(event, datetime.now(UTC))
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        yield log


def line(event: Event, at: datetime) -> bytes:
    """`at` (UTC), `event`, and what it tells; numbers that are not finite are null."""
    content = {"at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), **_told(event)}
    return to_json(content, inf_nan_mode="null") + b"\n"


def _told(event: Any) -> dict[str, Any]:
    """The event's name and its fields; an event inside it, that of a baseline, the same way."""
    content = {field.name: getattr(event, field.name) for field in fields(event)}
    if is_dataclass(content.get("event")):
        content |= {"of": _told(content.pop("event"))}
    return {"event": type(event).__name__, **content}


def _drop_torn_end(file: Path) -> None:
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
