"""Two folders change places in one step, where the system can do that."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

HERE, RENAME_EXCHANGE = -100, 2
"""AT_FDCWD and the flag of renameat2(2), of Linux."""

RENAME_SWAP = 2
"""The flag of renamex_np(2), of macOS."""

CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})
"""What systems and file systems without it say; EPERM comes from the filters of containers."""


def exchange(one: Path, other: Path) -> bool:
    """Let two folders of one file system change places: at no instant is either name without one.

    Returns:
        False where the system or the file system cannot; then nothing was done.

    Raises:
        OSError: one of them is not there, or may not be renamed.
    """
    if sys.platform not in ("linux", "darwin"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            failed = system.renameat2(HERE, names[0], HERE, names[1], RENAME_EXCHANGE)
        else:
            failed = system.renamex_np(*names, RENAME_SWAP)
    except AttributeError:  # a C library that is older, or smaller
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
