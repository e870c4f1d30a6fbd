"""One search, start to finish: ask -> place -> stream -> prune -> tell. The page to read first.

The driver alone talks to the study; workers only train. It knows no torch and touches no GPU. With one worker
it asks strictly after telling, so that the same seed gives the same trials.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import Trial

from nas.engines.base import Engine
from nas.engines.messages import Built, Died, Ended, Message, Ready, Task, Trained
from nas.errors import SearchFailed
from nas.events import EpochTrained, Event, SearchEnded, TrialEnded, TrialStarted, Why, WorkerReady
from nas.plugins import Space
from nas.space import DataInfo, in_words
from nas.study.outcome import Outcome
from nas.study.records import best_of
from nas.study.store import StudyStore
from nas.study.weights import weights_path
from nas.training.epoch import Epoch

FAILURES = 5
"""So many failed trials in a row end the search."""

STOPPED = "the search stopped"

HEARTBEAT = 0.2
"""Seconds between looks at the clock while workers are silent."""


@dataclass
class Running:
    """A trial that a worker trains."""

    trial: Trial
    started: float
    last: Epoch | None = None
    best_accuracy: float = -math.inf
    best_epoch: int = 0

    def add(self, epoch: Epoch) -> None:
        self.last = epoch
        if epoch.val_accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch = epoch.val_accuracy, epoch.number


class Driver:
    """Owns a study for the length of one run."""

    def __init__(self, store: StudyStore, space: Space, info: DataInfo, engine: Engine) -> None:
        self.store = store
        self.space = space
        self.info = info
        self.engine = engine
        self.recipe = store.recipe
        self._running: dict[int, Running] = {}
        self._failures = 0
        self._stopping = False
        records = store.trials()
        self._charged = sum(record.outcome.charged for record in records)
        best = best_of(records)
        self._best = best.value if best and best.value is not None else -math.inf

    def stop(self) -> None:
        """Ask for a clean end: running trials are left where they are and repeated by the next run."""
        self._stopping = True

    def run(self) -> Iterator[Event]:
        """Search until the trials are trained, the time is up, the target is reached or `stop` was called.

        Whatever ends it, no trial stays RUNNING, unless the database fails: the next run settles those.

        Raises:
            SearchFailed: too many trials failed in a row.
            BrokenFile: the search space's own code failed.
        """
        deadline = time.monotonic() + (self.recipe.time_limit or math.inf)
        try:
            while (why := self._why_end(deadline)) is None:
                yield from self._place()
                for message in self.engine.messages(HEARTBEAT):
                    yield from self._handle(message)
            for number in list(self._running):  # the next run repeats them
                self.engine.stop(number)
                yield from self._tell(number, Outcome.INTERRUPTED, reason=STOPPED)
            yield SearchEnded(why=why)
        finally:
            for number in self._running:  # only after an error: nobody listens any more
                self.store.tell(number, Outcome.INTERRUPTED, reason=STOPPED)

    def _why_end(self, deadline: float) -> Why | None:
        if self._stopping:
            return "stopped"
        if not self._running and self._charged >= self.recipe.trials:
            return "trials"
        if self._best >= (self.recipe.target_accuracy or math.inf):
            return "target"
        return "time" if time.monotonic() >= deadline else None

    # ask, place --------------------------------------------------------------------------------------------

    def _place(self) -> Iterator[Event]:
        """Give every free worker a trial, as far as the budget goes."""
        while self._charged + len(self._running) < self.recipe.trials:
            worker = self.engine.free_worker()
            if worker is None:
                return
            trial = self.store.ask()
            self._running[trial.number] = Running(trial, time.monotonic())
            proposal = self.space.suggest(trial, self.info)
            seed = proposal.seed(self.recipe.seed)
            self.store.start(trial, proposal, seed, worker)
            task = Task(
                number=trial.number,
                params=trial.params,
                seed=seed,
                epochs=self.recipe.epochs,
                weights=str(weights_path(Path(self.store.folder), trial.number)),
            )
            self.engine.start(worker, task)
            yield TrialStarted(
                number=trial.number,
                worker=worker,
                network=in_words(proposal.description["architecture"]),
                retry_of=self.store.retry_of(trial),
            )

    # stream, prune -----------------------------------------------------------------------------------------

    def _handle(self, message: Message) -> Iterator[Event]:
        match message:
            case Ready(worker=worker, device=device):
                yield WorkerReady(worker=worker, device=device)
            case Built(number=number) if number in self._running:
                self.store.describe(
                    number,
                    num_parameters=message.num_parameters,
                    multiply_adds=message.multiply_adds,
                    device=message.device,
                    versions=message.versions,
                )
            case Trained(number=number, epoch=epoch) if number in self._running:
                yield from self._report(self._running[number], epoch)
            case Ended(number=number, how=how, reason=reason) if number in self._running:
                yield from self._finish(self._running[number], how, reason)
            case Died(number=number, reason=reason) if number in self._running:
                yield from self._tell(number, Outcome.FAILED, reason=reason)
            case _:
                pass  # a late word about a trial that was already told

    def _report(self, running: Running, epoch: Epoch) -> Iterator[Event]:
        """Record an epoch, then stop the trial early if the pruner or its own curve says so."""
        running.add(epoch)
        self.store.report(running.trial, epoch)
        number = running.trial.number
        yield EpochTrained(number=number, epoch=epoch)
        if epoch.number == self.recipe.epochs:
            return  # fully trained: asking the pruner now could only throw the result away
        patience = self.recipe.patience
        if running.trial.should_prune():
            reason = f"pruner: {epoch.val_accuracy:.4f} after epoch {epoch.number}"
        elif patience and epoch.number - running.best_epoch >= patience:
            reason = f"flat: no better than epoch {running.best_epoch} for {patience} epochs"
        else:
            return
        self.engine.stop(number)
        yield from self._tell(number, Outcome.PRUNED, reason=reason)

    # tell --------------------------------------------------------------------------------------------------

    def _finish(self, running: Running, how: str, reason: str | None) -> Iterator[Event]:
        number = running.trial.number
        match how:
            case "completed":
                assert running.last is not None
                value = running.last.val_accuracy
                self._best = max(self._best, value)
                yield from self._tell(number, Outcome.COMPLETED, value=value)
                self.store.keep_best_weights(running=set(self._running))
            case "diverged" | "out of memory":
                yield from self._tell(number, Outcome.PRUNED, reason=f"{how}: {reason}")
            case _:
                yield from self._tell(number, Outcome.FAILED, reason=reason)

    def _tell(
        self, number: int, outcome: Outcome, *, value: float | None = None, reason: str | None = None
    ) -> Iterator[Event]:
        running = self._running.pop(number)
        self.store.tell(number, outcome, value=value, reason=reason)
        self._charged += outcome.charged
        yield TrialEnded(
            number=number,
            outcome=outcome,
            value=value,
            reason=reason,
            epochs=running.last.number if running.last else 0,
            seconds=time.monotonic() - running.started,
        )
        self._failures = self._failures + 1 if outcome is Outcome.FAILED else 0
        if self._failures >= FAILURES:
            raise SearchFailed(f"The last {FAILURES} trials failed. The last one: {reason}")
