"""How far running trials are inside their epochs: for those who watch, and for nothing else."""

from __future__ import annotations

import time

from nas.engines.messages import Seen
from nas.events import ImagesSeen
from nas.study.writer import StudyWriter

PERIOD = 2.0
"""Seconds between two transactions that store it, at least."""


class Progress:
    """Passes it on at once, and stores it now and then, of all trials together."""

    def __init__(self, store: StudyWriter) -> None:
        self._store = store
        self._stored = time.monotonic()
        self._news: dict[int, float] = {}
        """Epochs and the part of the next one, by the trial's number; what was not stored yet."""

    def see(self, seen: Seen) -> ImagesSeen:
        """A worker has said how far its trial is."""
        event = ImagesSeen(number=seen.number, epochs=seen.epochs, images=seen.images, of=seen.of)
        self._news[seen.number] = event.epochs + event.part
        if (now := time.monotonic()) - self._stored >= PERIOD:
            self._store.keep_progress(self._news)
            self._stored, self._news = now, {}
        return event
