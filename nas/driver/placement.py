"""From a trial that waits to a worker that trains it, until the worker is free again: place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import asdict

from nas.driver.live_trial import LiveTrial
from nas.driver.memory_budget import MemoryBudget
from nas.engines.base import Engine
from nas.engines.messages import Died, Ended, Task
from nas.errors import SearchFailed
from nas.events import TrialStarted
from nas.space import in_words
from nas.study.records import plan_in_words
from nas.study.trial_files import checkpoint_path, weights_path
from nas.study.writer import StudyWriter


class Placement:
    """Gives free workers the trials that fit beside those that run."""

    def __init__(
        self,
        store: StudyWriter,
        engine: Engine,
        memory: MemoryBudget,
        report_points: Callable[[LiveTrial], list[int]],
    ) -> None:
        """`report_points`: of a trial, the training images after which it reports within its first epoch."""
        self._store = store
        self._report_points = report_points
        self._epochs = store.recipe.epochs
        self._engine = engine
        self._memory = memory
        self._waiting: list[LiveTrial] = []
        """Trials that are planned, and taken by no worker, in order."""
        self._workers: dict[int, int] = {}
        """Worker of each trial by its number, until the worker is free again."""

    @property
    def placed(self) -> Set[int]:
        """Numbers of the trials that workers have; of some they have yet to hear that they are told."""
        return self._workers.keys()

    @property
    def waiting(self) -> list[LiveTrial]:
        """Trials that are planned and wait for a worker, in order."""
        return list(self._waiting)

    def wait(self, trial: LiveTrial, *, first: bool = False) -> None:
        """A trial that is planned waits for a worker, behind the others or before them."""
        self._waiting.insert(0 if first else len(self._waiting), trial)

    def leave(self, trial: LiveTrial) -> None:
        """A trial is told: if it waits, no worker has to take it any more."""
        if trial in self._waiting:
            self._waiting.remove(trial)

    def release(self, message: Ended | Died) -> None:
        """A worker is free again, or its process is gone."""
        worker = None if message.number is None else self._workers.pop(message.number, None)
        if isinstance(message, Died):
            if message.worker not in self._workers.values():  # else another process has its place already
                self._memory.forget(message.worker)
        elif worker is not None:
            self._memory.free(worker, message.own, message.context)

    def place(self, trials: Collection[LiveTrial]) -> Iterator[TrialStarted]:
        """Start what fits.

        Args:
            trials: all that are on their way.

        Raises:
            SearchFailed: one does not even fit a processor that is all its own.
        """
        while self._waiting:
            free = self._engine.free_workers()
            choice = self._memory.choose(self._waiting, free)
            if choice is None and all(trial.worker is None for trial in trials):
                for idle in self._memory.idle(free):  # whose processes hold too much of the device
                    self._engine.retire(idle)
                    self._memory.forget(idle)
                choice = self._memory.choose(self._waiting, free)
                first = self._waiting[0].reservation
                if choice is None and not self._workers and (reason := self._memory.shortage(first)):
                    raise SearchFailed(reason)
            if choice is None:
                return
            trial, worker = choice
            self._waiting.remove(trial)
            yield self._start(trial, worker, free[worker])

    def _start(self, trial: LiveTrial, worker: int, device: str) -> TrialStarted:
        assert trial.plan is not None
        trial.starts(worker)
        self._store.start(trial.number, worker)
        task = Task(
            number=trial.number,
            params=trial.trial.params,
            seed=trial.seed,
            epochs=self._epochs,
            plan=trial.plan,
            weights=str(weights_path(self._store.folder, trial.number)),
            checkpoint=str(checkpoint_path(self._store.folder, trial.origin)),
            report_points=self._report_points(trial),
        )
        self._engine.start(worker, task)
        self._workers[trial.number] = worker
        return TrialStarted(
            number=trial.number,
            worker=worker,
            network=in_words(trial.proposal.description["architecture"]),
            retry_of=trial.retry_of,
            device=device,
            reservation=trial.plan.reservation,
            plan=plan_in_words(asdict(trial.plan.levers)),
            epoch_seconds=trial.epoch_seconds,
        )
