"""What earlier studies on this machine have taught of its devices' speed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter

from nas.machine.files import written_whole
from nas.machine.user_cache import cache_root
from nas.seconds.rates import Sample

_SAMPLES = TypeAdapter(list[Sample])


def remembered(device: str) -> list[Sample]:
    """Trials on a device of this name, oldest first; none where there are none, or a broken file."""
    try:
        return _SAMPLES.validate_json(_file(device).read_bytes())
    except (OSError, ValueError):
        return []


def remember(device: str, samples: Iterable[Sample]) -> None:
    """Keep these for the next study; not where the cache folder cannot be written, which costs accuracy."""
    file = _file(device)
    with suppress(OSError), written_whole(file) as stream:
        stream.write(_SAMPLES.dump_json(list(samples)))


def _file(device: str) -> Path:
    return cache_root() / "seconds" / f"{hashlib.sha256(device.encode()).hexdigest()[:16]}.json"
