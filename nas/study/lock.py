"""One driver at a time: a lock in the study's folder that the operating system frees when its holder dies."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from nas.errors import StudyError


@contextmanager
def study_lock(folder: Path, study: str) -> Iterator[None]:
    """Hold the study in `folder` for the length of the block.

    Raises:
        StudyError: another driver holds it; the message names host, process and start time.
    """
    lock = FileLock(folder / "lock")
    holder = folder / "driver.txt"
    try:
        lock.acquire(blocking=False)
    except Timeout:
        who = holder.read_text().strip() if holder.exists() else "another process"
        raise StudyError(
            f"Study {study!r} is already being searched by {who}. Wait for it, or use --study for another."
        ) from None
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        holder.write_text(f"process {os.getpid()} on {platform.node()} since {now}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
