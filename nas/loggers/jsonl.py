"""One line of JSON for each event, appended to `events.jsonl` in the study's folder."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from nas.events import Event


def make(folder: Path) -> Callable[[Event], None]:
    """`folder`: of the study; a run that goes on appends."""
    file = folder / "events.jsonl"

    def log(event: Event) -> None:
        content = {"at": datetime.now(UTC).isoformat(), "event": type(event).__name__, **asdict(event)}
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(content, default=_plain) + "\n")

    return log


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude={"storage"}) if isinstance(value, BaseModel) else str(value)
