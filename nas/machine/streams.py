"""Standard output and standard error of a command, whatever the system has made of them.

There may be none (`nas search >&-`, pythonw), their encoding may lack what is to be said, their reader may go
away (`nas show | head -1`), and the disk they go to may be full: which is another one than the study's.
"""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from nas.errors import StorageError

GONE = 128 + getattr(signal, "SIGPIPE", 13)
"""The exit code that a shell gives a command whose reader has gone."""


class ReaderGone(Exception):
    """Nobody reads standard output any more. No OSError: those tell of the study's disk."""


class Output:
    """Standard output. What goes wrong with it is told apart from what goes wrong with any other file.

    `write` and `flush` raise ReaderGone, or StorageError where it cannot be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        _drop(self._stream)
        if error.errno == errno.EPIPE:
            raise ReaderGone from error
        raise StorageError(
            f"Standard output cannot be written: {error.strerror}. Send it where there is room."
        ) from error


class ErrorOutput(Output):
    """Standard error. Where it fails there is nobody left to tell, and the exit code has to do."""

    def _fail(self, error: OSError) -> None:
        _drop(self._stream)


@contextmanager
def standard_streams() -> Iterator[None]:
    """For the length of the block, `sys.stdout` and `sys.stderr` can always be written, or say why not."""
    _hold_descriptors()
    before = sys.stdout, sys.stderr
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115
    output, errors = Output(streams[0]), ErrorOutput(streams[1])
    sys.stdout, sys.stderr = output, errors
    try:
        yield
    finally:
        with suppress(ReaderGone, StorageError):  # of a command that ended in another way
            output.flush()
        sys.stdout, sys.stderr = before


def _hold_descriptors() -> None:
    """So that no file or socket gets the number of a closed standard stream, which anybody may write to."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _drop(stream: TextIO) -> None:
    """Let what is still to be written vanish: Python would try, and complain, once more at its end."""
    with suppress(OSError, ValueError):  # it may be no file at all
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
