"""The live view of a search on a terminal."""

import sys
import time
from collections import deque
from threading import Event as Flag
from threading import Thread
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.live import Live

from nas.events import Event, SearchStarted
from nas.views.terminal.frame import frame, message_lines
from nas.views.terminal.state import SearchState

REFRESH = 0.25
"""Seconds between two looks at the events; without news there is one picture each second."""

REPEATED = 3
"""So many of the last messages are shown again when the terminal's size has changed."""


class LiveView:
    """Draws a search while it runs; call it with each event, inside its context.

    Notices, reasons of failed trials and whatever the process prints meanwhile go above the picture, to stay.
    A call only puts its event in a queue, and one thread adds up and draws: the driver never waits for a
    terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._queue: deque[tuple[Event, float]] = deque()
        self._over = Flag()
        self._thread: _Drawing | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, SearchStarted):
            self._thread = _Drawing(self._console, SearchState(event, now), self._queue, self._over)
            self._thread.start()
        else:
            self._queue.append((event, now))

    def __exit__(self, *error: object) -> None:
        """Leave the last picture on the terminal."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()


class _Drawing(Thread):
    """Adds up events and draws them until it is over."""

    def __init__(
        self, console: Console, state: SearchState, queue: deque[tuple[Event, float]], over: Flag
    ) -> None:
        super().__init__(daemon=True)
        self._console = console
        self._state = state
        self._queue = queue
        self._over = over
        self._told = 0
        self._second = 0
        """The second of the search that the last picture shows."""
        self._size = console.size
        self._resized = False
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )

    def run(self) -> None:
        with self._live:
            self._draw()
            while not self._over.wait(REFRESH):
                self._look()
            self._resized |= self._console.size != self._size
            self._draw(ended=True)

    def _look(self) -> None:
        """Draw if there is anything new, but nothing while a window is being dragged: nobody reads in it."""
        size, self._size = self._size, self._console.size
        if self._size != size:
            self._resized = True
        elif self._resized or self._queue or int(self._state.elapsed(time.monotonic())) != self._second:
            self._draw()

    def _draw(self, *, ended: bool = False) -> None:
        state, now = self._state, time.monotonic()
        while self._queue:
            state.add(*self._queue.popleft())
        if self._resized:
            self._start_over()
        if lines := message_lines(state.messages[self._told :]):
            self._console.print(*lines, sep="\n")
        self._told = len(state.messages)
        self._live.update(frame(state, now, *self._console.size, ended=ended), refresh=True)
        self._second = int(state.elapsed(now))

    def _start_over(self) -> None:
        """Scroll everything out of sight: nobody knows how old lines lie in a terminal of another width."""
        self._console.file.write("\n" * self._console.height)
        self._console.control(Control.home())
        self._told = max(0, self._told - REPEATED)
        self._resized = False
