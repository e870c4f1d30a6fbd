"""A search as plain lines, for logs and pipes: no colour, no control character, each line written at once."""

import time
from collections import Counter
from typing import Self, TextIO

from nas.events import EpochTrained, Event, OfBaseline, SearchStarted, TrialEnded, TrialStarted
from nas.views import format
from nas.views.format import clean, duration, plural, scored
from nas.views.terminal.frame import data_facts
from nas.views.terminal.state import UNCHARGED, SearchState

TENTHS = 10
"""So many times a baseline says how far it is."""


class PlainView:
    """A line for the start, for each trial that was trained and for each notice; call it with each event,
    inside its context.

    Proposals in a row that are not trained, because they do not fit or were trained before, share a line.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._state: SearchState | None = None
        self._told = 0
        self._untrained: list[TrialEnded] = []

    def __enter__(self) -> Self:
        return self

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, SearchStarted):
            state = self._state = SearchState(event, now)
            self._write(_started(state))
        else:
            assert self._state is not None
            state = self._state
            state.add(event, now)
        if isinstance(event, TrialEnded) and event.outcome in UNCHARGED:
            self._untrained.append(event)
            return
        self._tell_untrained()
        if isinstance(event, TrialEnded):
            self._write(_ended(event, state))
        if isinstance(event, OfBaseline) and (line := _of_baseline(event, state)):
            self._write(line)
        for message in state.messages[self._told :]:
            if message.kind == "notice":  # the line of a failed trial has told its reason
                self._write(message.text)
        self._told = len(state.messages)

    def __exit__(self, *error: object) -> None:
        self._tell_untrained()

    def _tell_untrained(self) -> None:
        if self._untrained:
            self._write(_not_trained(self._untrained))
            self._untrained = []

    def _write(self, line: str) -> None:
        encoding = self._file.encoding or "utf-8"
        line = clean(line).encode(encoding, "backslashreplace").decode(encoding)
        self._file.write(line + "\n")
        self._file.flush()


def _started(state: SearchState) -> str:
    start = state.start
    device = f"{start.device}, {plural(start.workers, 'worker')}, {start.recipe.precision}"
    cap = f", memory cap {format.memory(start.memory_cap)}" if start.memory_cap else ""
    done = f"{state.charged} of {plural(state.total, 'trial')} done"
    return f"{start.study}: {', '.join(data_facts(start))}, {device}{cap}, {done}"


def _ended(event: TrialEnded, state: SearchState) -> str:
    facts = [f"trial {event.number} {event.outcome}"]
    if event.value is not None:
        facts.append(scored(event.value, state.metric))
    facts += [plural(event.epochs, "epoch"), duration(event.seconds)]
    if event.reason:
        facts.append(event.reason)
    best = (
        f"best {scored(state.best[1], state.metric)} (trial {state.best[0]})" if state.best else "no best yet"
    )
    return f"{', '.join(facts)} | {best} | {state.charged}/{state.total}"


def _of_baseline(event: OfBaseline, state: SearchState) -> str | None:
    """That it begins, and how far it is; a notice tells its end."""
    match event.event:
        case TrialStarted(network=network):
            return f"baseline {event.name} begins: {network}"
        case EpochTrained(epoch=epoch):
            epochs = state.start.recipe.epochs
            before, now = ((number * TENTHS) // epochs for number in (epoch.number - 1, epoch.number))
            if before < now < TENTHS:
                facts = f"epoch {epoch.number} of {epochs}, {scored(epoch.value, state.metric)}"
                return f"baseline {event.name}: {facts}"
    return None


def _not_trained(events: list[TrialEnded]) -> str:
    last = events[-1]
    if len(events) == 1:
        return f"trial {last.number} {last.outcome.in_words}: {last.reason}"
    counts = format.counts(Counter(event.outcome.value for event in events))
    return f"trials {events[0].number} to {last.number}: {counts}; the last: {last.reason}"
