"""A trial's checkpoint on disk: whole and checked, or not there. The one before stays until the next is."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from nas.machine.files import written_whole
from nas.training.epoch import Epoch

DIGEST = hashlib.sha256().digest_size
"""Bytes at the end of a file that tell whether the rest is what was written."""


class Checkpoint:
    """The state of a trainer and the epochs that led to it, in `file` and in the one before it."""

    def __init__(self, file: Path, trial: str) -> None:
        """Args:
        trial: tells trials apart: a checkpoint of another is not used.
        """
        self._file = file
        self._before = file.with_suffix(".before.pt")
        self._trial = trial

    def save(self, state: dict[str, Any], curve: list[Epoch]) -> None:
        """Write what `Trainer.state_dict` gave.

        Raises:
            OSError: the disk is full or read-only; what was there before is still there.
        """
        content = {"trial": self._trial, "curve": [asdict(epoch) for epoch in curve], "state": state}
        with written_whole(self._file) as stream:
            hashed = _Hashed(stream)
            try:
                torch.save(content, cast(Any, hashed))
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch has tried to end a file that has no room
                    raise error.__context__ from None
                raise
            stream.write(hashed.digest())
            if self._file.exists():
                os.replace(self._file, self._before)  # which `load` reads, should this end here

    def remove(self) -> None:
        """Nobody will go on from here."""
        for file in (self._file, self._before):
            file.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any], list[Epoch]] | None:
        """State and curve of the newest checkpoint that is whole, or None."""
        for file in (self._file, self._before):
            content = _read(file)
            if content is not None and content["trial"] == self._trial:
                return content["state"], [Epoch(**epoch) for epoch in content["curve"]]
        return None


class _Hashed:
    """A stream that remembers the digest of what went through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def _read(file: Path) -> dict[str, Any] | None:
    """The content of a file that is whole."""
    try:
        with file.open("rb") as stream:
            content = stream.read(file.stat().st_size - DIGEST)
            digest = stream.read()
    except (OSError, ValueError):
        return None
    if hashlib.sha256(content).digest() != digest:
        return None
    try:
        loaded: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):  # somebody else's file, which is never executed
        return None
    return loaded if isinstance(loaded, dict) and {"trial", "curve", "state"} <= loaded.keys() else None
