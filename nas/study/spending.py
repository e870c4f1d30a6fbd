"""What a search has spent its seconds on, and what it had for them: from the stored trials alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas.study.clock import now
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, given

STARTS, EARLY = "starts", "pruned in the first epoch"

PAUSE = timedelta(minutes=2)
"""A longer time without any trial, between two runs, is no time of the search."""


@dataclass(frozen=True)
class Part:
    """Trials of one kind, and the seconds that workers have spent on them."""

    name: str
    trials: int
    seconds: float
    share: float
    """Of the seconds of all parts, in [0, 1]."""


@dataclass(frozen=True)
class Step:
    """A trial that was better than all that had ended before."""

    seconds: float
    """Of search, from the start of the first trial to the end of this one, without pauses between runs."""
    number: int
    value: float


def working_time(records: Sequence[TrialRecord]) -> tuple[dict[int, tuple[float, float]], list[float]]:
    """Seconds of search at the start and the end of each trial, and where pauses were cut out.

    Args:
        records: trials that have started; at least one.
    """
    until = now()
    began = sorted((record.started_at or until, _end(record, until), record.number) for record in records)
    origin = latest = began[0][0]
    spans, pauses = {}, []
    for start, end, number in began:
        if start - latest > PAUSE:
            origin += start - latest
            pauses.append((latest - origin + (start - latest)).total_seconds())
        latest = max(latest, end)
        spans[number] = ((start - origin).total_seconds(), (max(end, start) - origin).total_seconds())
    return spans, pauses


def best_so_far(records: Sequence[TrialRecord]) -> list[Step]:
    """The way to the best value, in the order in which trials ended; without trials whose times were not
    stored."""
    timed = [record for record in records if record.started_at is not None]
    if not timed:
        return []
    spans, _ = working_time(timed)
    steps: list[Step] = []
    for record in sorted(timed, key=lambda record: spans[record.number][1]):
        if record.value is not None and (not steps or record.value > steps[-1].value):
            steps.append(Step(spans[record.number][1], record.number, record.value))
    return steps


def parts(records: Sequence[TrialRecord]) -> list[Part]:
    """What was spent on starts, however they ended, and on the sampler's trials by how they ended.

    Proposals that no worker took are not among them, nor trials whose times were not stored.
    """
    theirs = given(records)
    order = (STARTS, Outcome.COMPLETED.in_words, Outcome.PRUNED.in_words, EARLY)
    seconds: dict[str, list[float]] = {name: [] for name in order}
    for record in records:
        if record.started_at is not None and record.worker is not None:
            spent = (_end(record, now()) - record.started_at).total_seconds()
            name = STARTS if record.number in theirs else _ending(record)
            seconds.setdefault(name, []).append(max(0.0, spent))
    total = sum(map(sum, seconds.values()))
    return [
        Part(name, len(some), sum(some), sum(some) / total if total else 0.0)
        for name, some in seconds.items()
        if some
    ]


def untimed(records: Sequence[TrialRecord]) -> int:
    """Trained trials whose times were not stored."""
    return sum(record.outcome.charged and record.seconds is None for record in records)


def _end(record: TrialRecord, until: datetime) -> datetime:
    """When a trial ended, or `until`; if its driver was killed, only the next run tells, maybe days later."""
    end = record.finished_at or until
    if record.outcome is not Outcome.INTERRUPTED or record.started_at is None:
        return end
    trained = timedelta(seconds=sum(epoch.seconds for epoch in record.epochs))
    return min(end, record.started_at + trained + PAUSE)


def _ending(record: TrialRecord) -> str:
    return EARLY if record.outcome is Outcome.PRUNED and not record.epochs else record.outcome.in_words
