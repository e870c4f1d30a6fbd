"""A disk that is full, or a folder that went read-only, in the midst of work: one clear line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import StorageError

INTACT = "What was stored is intact; once that is mended, the same command goes on."

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the system says while `place`, a file or a folder, is written into one line.

    Raises:
        StorageError: there is no room, or nobody may write; what was there before is still there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StorageError(f"{error.filename or place}: {error.strerror}. {INTACT}") from error
