"""How a command ends: at Ctrl-C with exit code 130, whatever it was at, and never by an abort."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import NoReturn

PLANNING = "nas-planning"
"""Name of the thread that plans. Before 3.14, Python aborts a process that ends while such a thread is in the
midst of torch; and a network that hangs is never out of it."""

INTERRUPTED = 130


@contextmanager
def left_at_once() -> Iterator[None]:
    """While nothing is done yet but imports, Ctrl-C ends the process without a word or a traceback."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ends_as_it_says(main: Callable[[], None]) -> Callable[[], None]:
    """Let the process end with the exit code of `main` even if the thread that plans is not done."""

    @wraps(main)
    def whole() -> None:
        try:
            main()
        except SystemExit as ending:
            if _planning():
                if isinstance(ending.code, str):
                    print(ending.code, file=sys.stderr)
                _leave(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
            raise
        except BaseException:
            if _planning():
                traceback.print_exc()
                _leave(1)
            raise

    return whole


def wait_for_planning(seconds: float) -> None:
    """For programs that search by `nas.search`, at their end, of which nobody knows the exit code."""
    for thread in _planning():
        thread.join(seconds)


def _planning() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == PLANNING]


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or nobody reads it
            stream.flush()
    os._exit(code)
