"""A search as plain lines, for logs and pipes: no colour, no control character, each line written at once."""

import time
from typing import TextIO

from nas.events import Event, SearchStarted, TrialEnded
from nas.terminal.format import accuracy, clean, duration, plural
from nas.terminal.frame import data_facts
from nas.terminal.state import SearchState


class PlainView:
    """A line for the start, for each trial that ended and for each notice; call it with each event."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._state: SearchState | None = None
        self._told = 0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, SearchStarted):
            state = self._state = SearchState(event, now)
            self._write(_started(state))
        else:
            assert self._state is not None
            state = self._state
            state.add(event, now)
        if isinstance(event, TrialEnded):
            self._write(_ended(event, state))
        for message in state.messages[self._told :]:
            if message.kind == "notice":  # the line of a failed trial has told its reason
                self._write(message.text)
        self._told = len(state.messages)

    def _write(self, line: str) -> None:
        encoding = self._file.encoding or "utf-8"
        line = clean(line).encode(encoding, "backslashreplace").decode(encoding)
        self._file.write(line + "\n")
        self._file.flush()


def _started(state: SearchState) -> str:
    start = state.start
    device = f"{start.device}, {plural(start.workers, 'worker')}, {start.recipe.precision}"
    done = f"{state.charged} of {plural(state.total, 'trial')} done"
    return f"{start.study}: {', '.join(data_facts(start))}, {device}, {done}"


def _ended(event: TrialEnded, state: SearchState) -> str:
    facts = [f"trial {event.number} {event.outcome}"]
    if event.value is not None:
        facts.append(accuracy(event.value))
    facts += [plural(event.epochs, "epoch"), duration(event.seconds)]
    if event.reason:
        facts.append(event.reason)
    best = f"best {accuracy(state.best[1])} (trial {state.best[0]})" if state.best else "no best yet"
    return f"{', '.join(facts)} | {best} | {state.charged}/{state.total}"
