"""One search, start to finish: ask -> plan -> place -> stream -> prune -> tell. The page to read first.

The driver alone talks to the study; workers only train. It knows no torch and touches no GPU. With one worker
it asks strictly after telling, so that the same seed gives the same trials; with more, the memory of the next
ones is planned while workers train.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

from optuna.exceptions import UpdateFinishedTrialError

from nas.driver.early_end import EarlyEnd
from nas.driver.ending import Ending
from nas.driver.forecast import Forecaster
from nas.driver.live_trial import LiveTrial
from nas.driver.memory_budget import MemoryBudget
from nas.driver.placement import Placement
from nas.driver.progress import Progress
from nas.driver.proposer import Proposer
from nas.driver.time_budget import TimeBudget
from nas.driver.watchdog import Watchdog
from nas.engines.base import Engine
from nas.engines.messages import (
    Built,
    Died,
    Ended,
    Estimated,
    Message,
    NotPlanned,
    Planned,
    Ready,
    Reported,
    Seen,
    Trained,
)
from nas.errors import StorageError
from nas.events import EpochTrained, Event, Notice, SearchEnded, TrialEnded, WorkerReady
from nas.space import DataInfo
from nas.space.load import Space
from nas.study.outcome import Outcome
from nas.study.trial_files import remove_checkpoints
from nas.study.writer import StudyWriter
from nas.training.epoch import Epoch

if TYPE_CHECKING:
    from nas.engines.planner import Planner  # torch comes with it

RETRIES = 3
"""So many times a trial is tried again whose worker died."""

AHEAD = 1 / 2
"""Trials that are asked for and planned ahead, for each worker; none with one worker alone."""

STOPPED = "the search stopped"

CANCELLED = "cancelled in the dashboard"

HEARTBEAT = 0.2
"""Seconds between looks at the clock while workers are silent."""

FAREWELL = 5.0
"""Seconds that workers get to leave a checkpoint when a search is stopped."""


class Driver:
    """Owns a study for the length of one run."""

    def __init__(
        self,
        store: StudyWriter,
        space: Space,
        info: DataInfo,
        engine: Engine,
        planner: Planner,
        memory: MemoryBudget,
        *,
        listed: bool = False,
    ) -> None:
        """Args:
        listed: train nothing but what is enqueued.
        """
        self.store = store
        self.engine = engine
        self._planner = planner
        self.memory = memory
        self.recipe = store.recipe
        self._trials: dict[int, LiveTrial] = {}
        """Trials that are asked and not told yet, by number."""
        self._watchdog = Watchdog(info.num_train)
        self.early_end = EarlyEnd(store, info.num_train)
        self._opened: float | None = None
        """Moment when workers were started, until one is ready."""
        records = store.trials()
        self.times = TimeBudget(store.recipe, info, records, bound=not listed)
        self.proposing = Proposer(store, space, info, planner, memory, self.times, records, listed)
        self.placing = Placement(store, engine, memory, self.early_end.report_points)
        self._progress = Progress(store)
        self._forecaster = Forecaster(store, space, info, self.times, memory.workers, records)
        self._listed = listed
        self.ending = Ending(store.recipe, records, self.proposing, self.times, memory.workers)

    def stop(self) -> None:
        """Ask for a clean end: running trials leave a checkpoint, from which the next run goes on."""
        self.ending.stopping = True

    def run(self, deadline: float | None = None) -> Iterator[Event]:
        """Search until the trials are trained, the time is up, the target is reached or `stop` was called.

        Whatever ends it, no trial stays RUNNING, unless the database fails: the next run settles those.

        Args:
            deadline: when the time is up, by `time.monotonic`; if None, the recipe's time limit from now on.

        Raises:
            SearchFailed: too many trials failed in a row, or nothing fits the memory cap.
            StorageError: the database failed, or the study's folder cannot be written.
            BrokenFile: the search space's own code failed.
        """
        if deadline is None:
            deadline = time.monotonic() + (self.recipe.time_limit or math.inf)
        self.ending.begins(deadline)
        try:
            if self.ending.why(0) is None:
                self._open()
                if not self._listed:
                    self._forecaster.ask(self._planner)
                self._planner.open()
            while (why := self.ending.why(len(self._trials))) is None:
                yield from self._give_up_what_cannot_end()
                yield from self.placing.place(self._trials.values())
                if lacking := self._lacks_trials():
                    yield from self._ask()
                for message in self.engine.messages(0 if lacking else HEARTBEAT):
                    yield from self._handle(message)
                self._watch()
            if why == "exhausted" and not self.ending.charged:
                self.proposing.check_that_something_fits(of=1)
            yield from self._interrupt()
            yield SearchEnded(why=why)
        finally:
            self.times.remember()
            for trial in self._trials.values():  # only after an error: nobody listens any more
                self.store.settle(trial.trial)

    def _give_up_what_cannot_end(self) -> Iterator[Event]:
        """Of the trials that wait for a worker: what is left does not suffice any more, a later run's may."""
        for trial in self.placing.waiting:
            if verdict := self.times.out_of_time(trial):
                yield from self._tell(trial, Outcome.INTERRUPTED, reason=verdict.why)

    def _open(self) -> None:
        self._opened = time.monotonic()
        self.engine.open()

    # ask, plan ---------------------------------------------------------------------------------------------

    def _lacks_trials(self) -> bool:
        """Whether a free worker has no trial yet, or too few are asked ahead, as far as the budget goes."""
        if self.ending.asks_no_more(len(self._trials)):
            return False
        workers = self.memory.workers
        wanted = len(self.engine.free_workers()) + (math.ceil(AHEAD * workers) if workers > 1 else 0)
        return sum(trial.worker is None for trial in self._trials.values()) < wanted

    def _ask(self) -> Iterator[Event]:
        """Ask for one trial: workers that become free meanwhile do not wait for others to be asked."""
        trial = self.proposing.ask()
        self._trials[trial.number] = trial
        if reason := self.proposing.duplicate(trial):
            yield from self._leave(trial, Outcome.DUPLICATE, reason=reason)
        else:
            self.proposing.plan(trial)

    def _planned(self, trial: LiveTrial, answer: Planned) -> Iterator[Event]:
        """It waits for a worker, unless it does not fit or repeats one that was planned just before."""
        match self.proposing.planned(trial, answer):
            case Outcome.WAITING, _:
                self.placing.wait(trial)
            case Outcome.DUPLICATE, reason:
                yield from self._leave(trial, Outcome.DUPLICATE, reason=reason)
            case Outcome.DOES_NOT_FIT, reason:
                yield from self._leave(trial, Outcome.DOES_NOT_FIT, reason=reason)
                self.proposing.check_that_something_fits()
            case outcome, reason:  # it ran out of memory with the most frugal plan there is
                yield from self._tell(trial, outcome, reason=reason)

    # stream, prune -----------------------------------------------------------------------------------------

    def _handle(self, message: Message) -> Iterator[Event]:
        if isinstance(message, Ready):
            first, self._opened = self.memory.ready(message), None
            self.times.ready(message)
            for trial in self._trials.values() if first else ():
                self.proposing.plan(trial)
            yield WorkerReady(worker=message.worker, device=message.device)
            yield from self._forecaster.forecasts()
            if first and (shortage := self.memory.shortage(self.memory.cap)):
                yield Notice(text=shortage)
            return
        if isinstance(message, Estimated):
            self._forecaster.take(message)
            yield from self._forecaster.forecasts()
            return
        if isinstance(message, Ended | Died):
            self.placing.release(message)
        if isinstance(message, Died) and message.number is None and self.memory.constants is None:
            yield Notice(text=f"A worker is started again: {message.reason}")
            self.ending.count_failure(message.reason)
            self._open()
        trial_of = None if message.number is None else self._trials.get(message.number)
        if trial_of is not None:  # else a late word about a trial that was already told
            if isinstance(message, Seen):  # nothing depends on it: not even whether a worker hangs
                yield self._progress.see(message)
                return
            trial_of.heard = time.monotonic()
            try:
                yield from self._hear(trial_of, message)
            except UpdateFinishedTrialError:  # somebody failed it in the dashboard
                self.engine.stop(trial_of.number)
                yield from self._tell(trial_of, Outcome.FAILED, reason=CANCELLED)

    def _hear(self, trial: LiveTrial, message: Message) -> Iterator[Event]:
        match message:
            case Planned():
                yield from self._planned(trial, message)
            case NotPlanned(reason=reason):
                yield from self._fail(trial, reason)
            case Built():
                trial.built, trial.multiply_adds = True, message.multiply_adds
                self.store.describe(**vars(message))
            case Trained(epoch=epoch) if epoch.number > (trial.last.number if trial.last else 0):
                trial.by_class = message.by_class
                yield from self._report(trial, epoch, message.again)
            case Reported(report=report) if trial.is_new(report):
                trial.partial_reports.append(report)
                self.store.report_partly(trial.number, report)
                why = self.early_end.why_within(trial, report, again=message.again)
                yield from self._end_early(trial, why)
            case Ended(how=how, reason=reason):
                yield from self._finish(trial, how, reason)
            case Died(worker=worker) if worker == trial.worker:
                yield from self._survive(trial, message)

    def _report(self, trial: LiveTrial, epoch: Epoch, again: bool) -> Iterator[Event]:
        """Record an epoch, then stop the trial early if the pruner or its own curve says so."""
        trial.curve.append(epoch)
        number = trial.number
        self.store.report(trial.trial, epoch)
        yield EpochTrained(number=number, epoch=epoch)
        self._watchdog.learn(trial)
        if not again and trial.worker is not None and self.times.learn(trial, trial.worker):
            self.store.describe(number, pace=trial.pace)
        if not again and (learned := self.memory.learn(trial, epoch)):
            self.store.keep_calibration(*learned)
        yield from self._end_early(trial, self.early_end.why(trial, epoch, again=again))

    def _end_early(self, trial: LiveTrial, reason: str | None) -> Iterator[Event]:
        """Stop a trial, if there is a reason for it."""
        if reason is not None:
            self.engine.stop(trial.number)
            yield from self._tell(trial, Outcome.PRUNED, reason=reason)

    # recover -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """End workers that hang; the engine says so, and their trials go on elsewhere."""
        told = self.placing.placed - self._trials.keys()
        for number, reason in self._watchdog.look(self._trials.values(), told):
            self.engine.kill(number, reason)
        if self._opened is not None:
            self._watchdog.check_ready(self._opened)

    def _survive(self, trial: LiveTrial, death: Died) -> Iterator[Event]:
        """A worker died: its trial goes on from the last checkpoint, a bounded number of times."""
        if self.memory.died_of_memory(trial, death):
            yield from self._recover(trial, death.reason, learn=not death.out_of_memory)
            return
        trial.worker, trial.deaths = None, trial.deaths + 1
        self.store.describe(trial.number, deaths=trial.deaths)
        if trial.deaths > RETRIES:
            yield from self._fail(trial, death.reason)
            return
        self.placing.wait(trial, first=True)
        yield Notice(
            text=f"Trial {trial.number} is tried again ({trial.deaths} of {RETRIES}): {death.reason}"
        )

    def _recover(self, trial: LiveTrial, reason: str, *, learn: bool = True) -> Iterator[Event]:
        """Out of memory in spite of the prediction: the next plan, with the same effective batch.

        Args:
            learn: whether the prediction was too small, rather than the system.
        """
        if learn and (learned := self.memory.out_of_memory(trial)):
            self.store.keep_calibration(*learned)
        trial.worker, trial.trouble = None, reason
        trial.recoveries += 1
        yield Notice(text=f"Trial {trial.number} ran out of memory, a more frugal plan is made: {reason}")
        self.proposing.plan(trial)

    @property
    def _running(self) -> Set[int]:
        return self.placing.placed & self._trials.keys()

    def _interrupt(self) -> Iterator[Event]:
        """Let workers leave checkpoints, then give up what still runs: the next run goes on there."""
        for number in self._running:
            self.engine.stop(number, keep=True)
        deadline = time.monotonic() + FAREWELL
        while self._running and time.monotonic() < deadline:
            for message in self.engine.messages(HEARTBEAT):
                yield from self._handle(message)
        for trial in list(self._trials.values()):
            yield from self._tell(trial, Outcome.INTERRUPTED, reason=STOPPED)

    # tell --------------------------------------------------------------------------------------------------

    def _finish(self, trial: LiveTrial, how: str, reason: str | None) -> Iterator[Event]:
        match how:
            case "completed":
                assert trial.last is not None
                yield from self._tell(trial, Outcome.COMPLETED, value=trial.last.value)
                self.store.keep_best_weights(running=set(self._trials))
            case "stopped":
                yield from self._tell(trial, Outcome.INTERRUPTED, reason=STOPPED)
            case "out of memory":
                yield from self._recover(trial, reason or how)
            case "diverged":
                yield from self._tell(trial, Outcome.PRUNED, reason=f"{how}: {reason}")
            case "no room":
                raise StorageError(reason)
            case _:
                yield from self._fail(trial, reason or "no reason is known")

    def _fail(self, trial: LiveTrial, reason: str) -> Iterator[Event]:
        yield from self._tell(trial, Outcome.FAILED, reason=reason)
        self.ending.count_failure(reason)

    def _tell(
        self, trial: LiveTrial, outcome: Outcome, *, value: float | None = None, reason: str | None = None
    ) -> Iterator[Event]:
        if trial.last and trial.by_class:
            self.store.keep_counts(trial.number, trial.last.number, trial.by_class)
        self.store.tell(trial.number, outcome, value=value, reason=reason, retry_of=trial.retry_of)
        yield from self._leave(trial, outcome, value=value, reason=reason)

    def _leave(
        self, trial: LiveTrial, outcome: Outcome, *, value: float | None = None, reason: str | None = None
    ) -> Iterator[Event]:
        """A trial is told: it is no longer on its way."""
        del self._trials[trial.number]
        self.placing.leave(trial)
        if outcome in (Outcome.FAILED, Outcome.INTERRUPTED):
            self.proposing.forget(trial)
        if outcome is not Outcome.INTERRUPTED:
            remove_checkpoints(self.store.folder, trial.origin)
        self.ending.count(outcome, value)
        yield TrialEnded(
            number=trial.number,
            outcome=outcome,
            value=value,
            reason=reason,
            epochs=trial.last.number if trial.last else 0,
            seconds=time.monotonic() - trial.started,
        )
