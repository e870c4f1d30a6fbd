"""A search that another process runs, told by the same events as in the driver, from the database alone.

Nothing is written and no transaction stays open: the driver never waits for who watches it.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, get_args

from sqlalchemy import RowMapping, and_, func, or_, select

from nas.events import (
    EpochTrained,
    Event,
    Forecast,
    ImagesSeen,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    Why,
    WorkerReady,
)
from nas.space import in_words
from nas.study import tables
from nas.study.clock import now, seconds_since
from nas.study.lock import lock_holder
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader
from nas.study.records import epoch_of, plan_in_words
from nas.training.epoch import Epoch

PERIOD = 1.0
"""Seconds between two looks at the database."""

SLACK = timedelta(minutes=1)
"""A clock that is set back by less hides no trial."""

T, E = tables.trials.c, tables.epochs.c

LENGTH = (
    select(func.max(E.epoch)).where(E.study_uuid == T.study_uuid, E.number == T.number).scalar_subquery()
).label("length")
"""Epochs of a trial."""

SEEN = (
    T.number,
    T.outcome,
    T.reason,
    T.value,
    T.proposal,
    T.worker,
    T.device,
    T.plan,
    T.predicted,
    T.predicted_seconds,
)
TIMES = (T.started_at, T.finished_at, T.retry_of, T.progress, LENGTH)


def follow(store: StudyReader, *, wait: Callable[[], None] = lambda: time.sleep(PERIOD)) -> Iterator[Event]:
    """The events of the search that runs on a study, from its start to its end.

    What happened before the call comes at once. Nothing comes if no search is running.

    Args:
        wait: returns when it is time for another look.
    """
    began = running_since(store)
    if began is None:
        return
    reader = _Reader(store, began)
    yield reader.start()
    while True:
        over = running_since(store) is None  # asked before the look, which then misses nothing
        yield from reader.news()
        if over:
            yield SearchEnded(why=reader.why_ended())
            return
        wait()


def running_since(store: StudyReader) -> datetime | None:
    """When the search that runs on a study began, in UTC; None when there is none.

    A search has left no word yet of its end; `nas train` holds a study whose search has.
    """
    holder = lock_holder(store.storage, store.name)
    if holder is None or _of_run(store, "ended") is not None:
        return None
    said = re.search(r"since (\S+)$", holder)
    return datetime.fromisoformat(said[1]).replace(tzinfo=None) if said else now()


class _Reader:
    """Remembers what it has told, so that it reads only what is new."""

    def __init__(self, store: StudyReader, began: datetime) -> None:
        self._store = store
        self._recipe = store.recipe
        self._began = began
        self._devices: list[str] = store.row["devices"] or []
        """The device of each worker."""
        self._since = began
        """When the last trial ended that was told."""
        self._told: dict[int, int] = {}
        """The last epoch that was told of each running trial."""
        self._progress: dict[int, float] = {}
        """How far each was then."""
        self._forecast = False
        """Whether it was told."""
        self._ended: set[int] = set()
        """Trials of this run that were told to have ended."""
        self._ready: set[int] = set()
        """Workers whose device was told."""

    def start(self) -> SearchStarted:
        """The study as it stood when the search began."""
        mine, read = T.study_uuid == self._store.uuid, self._store.storage.read
        before, during = T.finished_at < self._began, T.started_at >= self._began
        ended = read(select(T.number, T.outcome, T.value).where(mine, before).order_by(T.finished_at))
        (trained,) = read(select(func.max(T.device).label("device")).where(mine, during))
        completed = [(row["value"], -row["number"]) for row in ended if row["outcome"] == Outcome.COMPLETED]
        value, number = max(completed, default=(None, 0))
        counts = Counter(row["outcome"] for row in ended)
        run = self._store.row
        return SearchStarted(
            study=self._store.name,
            recipe=self._recipe,
            data=self._store.data,
            device=trained["device"] or self._recipe.device,
            workers=len(self._devices) or 1,
            counts=counts,
            best=None if value is None else (-number, value),
            curve=tuple(accumulate((value for value, _ in completed), max)),
            memory_cap=self._store.memory_cap,
            budgets=run["budgets"] or {},
            seconds=seconds_since(self._began),
        )

    def news(self) -> Iterator[Event]:
        """What has happened since the last call."""
        if not self._forecast and (forecast := _of_run(self._store, "forecast")):
            self._forecast = True
            yield Forecast(**forecast | {"starts": tuple(forecast["starts"])})
        rows = self._read_trials()
        epochs = self._read_epochs(rows)
        for row in rows:
            number, worker, outcome = row["number"], row["worker"], Outcome(row["outcome"])
            if number in self._ended:
                continue
            if row["device"] is not None and worker is not None and worker not in self._ready:
                self._ready.add(worker)
                yield WorkerReady(worker=worker, device=row["device"])
            if outcome is not Outcome.RUNNING:
                self._ended.add(number)
                self._told.pop(number, None)
                yield self._ending(row, outcome)
                continue
            if number not in self._told:
                self._told[number] = 0
                yield self._beginning(row)
            for epoch in epochs.get(number, ()):
                self._told[number] = epoch.number
                yield EpochTrained(number=number, epoch=epoch)
            if (seen := self._inside(row)) is not None:
                yield seen

    def _inside(self, row: RowMapping) -> ImagesSeen | None:
        """How far a running trial is inside its epoch, if that is known and news."""
        number, told = row["number"], self._told[row["number"]]
        if row["progress"] is None or not 0 < row["progress"] - told <= 1:
            return None
        if self._progress.get(number) == row["progress"]:
            return None
        self._progress[number], of = row["progress"], self._store.info.num_train
        return ImagesSeen(number=number, epochs=told, images=round(of * (row["progress"] - told)), of=of)

    def why_ended(self) -> Why:
        """As the driver left word; one that was killed left none."""
        ended = _of_run(self._store, "ended")
        return ended if ended in get_args(Why) else "stopped"

    def _beginning(self, row: RowMapping) -> TrialStarted:
        worker = row["worker"]
        return TrialStarted(
            number=row["number"],
            worker=worker,
            network=in_words(row["proposal"]["architecture"]) if row["proposal"] else "",
            retry_of=row["retry_of"],
            device=self._devices[worker] if worker < len(self._devices) else "",
            reservation=row["predicted"],
            plan=plan_in_words(row["plan"]),
            epoch_seconds=row["predicted_seconds"],
            seconds=seconds_since(row["started_at"]),
        )

    def _ending(self, row: RowMapping, outcome: Outcome) -> TrialEnded:
        self._since = max(self._since, row["finished_at"])
        started = row["started_at"] or row["finished_at"]
        return TrialEnded(
            number=row["number"],
            outcome=outcome,
            value=row["value"],
            reason=row["reason"],
            epochs=row["length"] or 0,
            seconds=(row["finished_at"] - started).total_seconds(),
        )

    def _read_trials(self) -> list[RowMapping]:
        """Those that run, and those that ended since the last look, in order; some of them known already."""
        since = max(self._began, self._since - SLACK)
        news = or_(T.outcome == Outcome.RUNNING, T.finished_at >= since)
        query = select(*SEEN, *TIMES).where(T.study_uuid == self._store.uuid, news)
        return sorted(
            self._store.storage.read(query),
            key=lambda row: (row["finished_at"] or datetime.max, row["number"]),
        )

    def _read_epochs(self, rows: list[RowMapping]) -> dict[int, list[Epoch]]:
        """Of running trials, the epochs that were not told yet."""
        told = {row["number"]: self._told.get(row["number"], 0) for row in rows if row["finished_at"] is None}
        wanted = [
            and_(E.number == row["number"], E.epoch > told[row["number"]])
            for row in rows
            if row["number"] in told and (row["length"] or 0) > told[row["number"]]
        ]
        if not wanted:
            return {}
        query = select(tables.epochs).where(E.study_uuid == self._store.uuid, or_(*wanted)).order_by(E.epoch)
        epochs: dict[int, list[Epoch]] = {}
        for row in self._store.storage.read(query):
            epochs.setdefault(row["number"], []).append(epoch_of(dict(row)))
        return epochs


def _of_run(store: StudyReader, name: str) -> Any:
    """What is stored of the latest run: `ended`, why, which is None while it runs or when it was killed; or
    its `forecast`."""
    S = tables.studies.c
    (row,) = store.storage.read(select(S[name]).where(S.study_uuid == store.uuid))
    return row[name]
