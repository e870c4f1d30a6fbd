"""What a run is likely to take, said before its first trial."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from nas.driver.time_budget import SETTLED, TimeBudget
from nas.engines.messages import Estimated
from nas.events import Forecast
from nas.seconds.work import Work
from nas.space import DataInfo, Proposal
from nas.space.load import Space
from nas.space.parameters import at_random
from nas.study.records import TrialRecord, given
from nas.study.writer import StudyWriter

if TYPE_CHECKING:
    from nas.engines.planner import Planner  # torch comes with it

SAMPLED = 12
"""Random proposals that stand for those of the sampler."""

LEAST = 4
"""So many of them are looked at even if the first trial waits for that."""

BESIDE = 0.5
"""Seconds of a trial beside its epochs: it is planned, built and told."""

UNKNOWN = 1.5
"""How far predictions may be off, as a factor, while little was timed on a device."""

FOUR = 4
"""Trials that a time limit should have room for."""

LIMITS = (
    *(20, 30, 40, 50, 60, 90, 120, 180, 240, 300, 360, 480, 600, 720, 900, 1200, 1500, 1800, 2400, 3000),
    *(3600 * hours for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96, 168)),
)
"""Seconds of time limits as people give them."""


class Forecaster:
    """Adds up what the trials of a run are likely to take.

    Starts that are left, and trials to be repeated, count with predictions of their own. Every other trial
    counts with the mean of what the sampler's trials have taken in the study so far, if five have ended; else
    with the mean prediction of a few random proposals of the space, but those that would be refused for what
    they take. These predictions come from the layers alone (`nas.network.rough`) and are for trials that are
    trained to their end. What a sampler learns to prefer, and what does not fit the memory cap, nobody knows
    beforehand. Workers share all of it evenly.
    """

    def __init__(
        self,
        store: StudyWriter,
        space: Space,
        info: DataInfo,
        times: TimeBudget,
        workers: int,
        records: Sequence[TrialRecord],
    ) -> None:
        """Args:
        records: the trials that the study already has.
        """
        self._store, self._space, self._info = store, space, info
        self._times, self._workers, self._recipe = times, workers, store.recipe
        self._trials = self._recipe.trials - sum(record.outcome.charged for record in records)
        self._first = next((record.work for record in records if record.work), None)
        theirs = given(records)
        ended = (record for record in records if record.outcome.charged and record.number not in theirs)
        taken = [record.seconds for record in ended if record.seconds is not None]
        self._taken = taken if len(taken) >= SETTLED else []
        """Seconds of trials of the sampler, where enough are known."""
        self._starts = 0
        """How many of the proposals are starts."""
        self._works: Sequence[Work | None] | None = None

    def ask(self, planner: Planner) -> None:
        """Have a planner that is not open yet estimate what a forecast needs."""
        proposals = self._proposals()
        planner.estimate(proposals, self._starts + LEAST)

    def _proposals(self) -> list[Proposal]:
        """The starts that are left, then random ones."""
        first = self._store.enqueued[: self._trials]
        starts = list(at_random(self._space, self._info, first))
        self._starts = len(starts)
        others = 0 if self._taken or len(first) == self._trials else SAMPLED
        return [*starts, *at_random(self._space, self._info, [{}] * others)]

    def take(self, estimated: Estimated) -> None:
        """What an epoch of each of the proposals does."""
        self._works = estimated.works

    def forecasts(self) -> Iterator[Forecast]:
        """One, as soon as works and workers are known; none before, after, and where nothing can be."""
        works = self._works
        if works is None or not (any(works) or self._taken):
            return
        costs = [None if work is None else self._seconds(work) for work in works]
        if any(works) and not any(costs):
            return  # no worker stands yet
        self._works = None
        known = [cost for cost in costs if cost is not None] or self._taken
        starts = [fmean(known) if cost is None else cost for cost in costs[: self._starts]]
        others = self._taken or [
            cost
            for cost, work in zip(costs[self._starts :], works[self._starts :], strict=True)
            if cost is not None and work is not None and self._is_bearable(work, works)
        ]
        yield self._added_up(starts, others or [min(known)])

    def _seconds(self, work: Work) -> float | None:
        """Of a trial that is trained to its end; None before a worker stands."""
        seconds = self._times.epoch_seconds(work)
        return None if seconds is None else BESIDE + self._recipe.epochs * seconds

    def _is_bearable(self, work: Work, works: Sequence[Work | None]) -> bool:
        """Whether a proposal of so much work is let in, where no clock decides."""
        verdict = self._times.by_work(work, self._first or next(filter(None, works), None))
        return self._times.by_clock or verdict is None or verdict.excess <= 0

    def _allowed(self, costs: Iterable[float], limit: float | None, cheapest: float) -> list[float]:
        """The costs that a trial may have under a time limit."""
        most = self._times.share(limit, cheapest)
        return [cost for cost in costs if cost <= most + BESIDE]

    def _added_up(self, starts: Sequence[float], others: Sequence[float]) -> Forecast:
        limit, cheapest = self._recipe.time_limit, min([*starts, *others])
        kept = self._allowed(starts, limit, cheapest)
        allowed = self._allowed(others, limit, cheapest) or [cheapest]
        rest, mean = max(0, self._trials - len(kept)), fmean(allowed)
        total = max((sum(kept) + rest * mean) / self._workers, *kept, mean if rest else 0.0)
        spread = stdev(allowed) if len(allowed) > 1 else 0.0
        # of the mean, which is of a few; and of the sum
        doubt = math.hypot(rest * spread / math.sqrt(len(allowed)), math.sqrt(rest) * spread) / self._workers
        off = (1 + doubt / total) * (1 if self._times.settled else UNKNOWN)
        fits, enough = (None, None) if limit is None else self._room(limit, starts, others)
        return Forecast(
            trials=self._trials,
            seconds=total,
            low=total / off,
            high=total * off,
            known=self._times.settled,
            pruned=bool(self._taken) or self._recipe.pruner == "none",
            starts=tuple(kept),
            mean=mean,
            fits=fits,
            enough=enough,
        )

    def _room(
        self, limit: float, starts: Sequence[float], others: Sequence[float]
    ) -> tuple[int, float | None]:
        """Trials that are likely to end within a limit; and the next limit that has room for four, where it
        has not."""
        gone = limit - self._times.left
        fits = self._fit(limit, gone, starts, others)
        wanted = min(FOUR, self._trials)
        longer = (each for each in LIMITS if each > limit and self._fit(each, gone, starts, others) >= wanted)
        return fits, None if fits >= wanted else next(longer, None)

    def _fit(self, limit: float, gone: float, starts: Sequence[float], others: Sequence[float]) -> int:
        """Trials that are likely to end within a limit: the starts, then such as the sampler proposes; when
        these do not fit any more, such as the cheapest."""
        cheapest = min([*starts, *others])
        usual = fmean(self._allowed(others, limit, cheapest) or [cheapest])
        free = [gone] * self._workers
        likely = chain(self._allowed(starts, limit, cheapest), repeat(usual))
        for ended, cost in enumerate(likely):
            takes = cost if free[0] + self._times.careful * cost <= limit else cheapest
            if ended == self._trials or free[0] + self._times.careful * takes > limit:
                return ended
            heapq.heapreplace(free, free[0] + takes)
        raise AssertionError("a limit is finite")
