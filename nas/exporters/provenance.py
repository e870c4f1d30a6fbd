"""Which exports this user made: only of these is a file run that can hold code, unless the user says so.

SHA256SUMS in a folder tells that its files belong together, not who wrote them; so the digest of every
SHA256SUMS that an export of this user wrote is kept in the user's cache folder, as the name of an empty file.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from nas.exporters.sha256sums import SUMS, read_small
from nas.machine.user_cache import cache_root


def remember(folder: Path) -> None:
    """Let `is_own` know an export, wherever it goes."""
    mark = _mark(folder)
    with suppress(OSError):  # a cache that cannot be written: the export is as good, predicting will ask
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def is_own(folder: Path) -> bool:
    """Whether this user wrote the SHA256SUMS in `folder`.

    Raises:
        OSError: it cannot be read.
    """
    mark = _mark(folder)
    try:
        found = mark.stat()
    except OSError:  # there is none, or a cache that cannot be read
        return False
    # a cache that several users share does not lend them one another's trust
    return os.name != "posix" or found.st_uid == os.getuid()


def _mark(folder: Path) -> Path:
    digest = hashlib.sha256(read_small(folder / SUMS).encode()).hexdigest()
    return cache_root() / "exports" / digest
