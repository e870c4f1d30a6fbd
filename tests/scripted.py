"""An engine and a planner whose trials do what a test says."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nas.driver.driver import Driver
from nas.driver.memory_budget import MemoryBudget
from nas.engines.messages import Died, Ended, Estimated, Message, Planned, Ready, Task, Trained
from nas.events import Event
from nas.memory.planned import DoesNotFit, Levers, MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Memory
from nas.seconds.work import StepWork
from nas.space import Proposal
from nas.space.load import Space
from nas.study.writer import StudyWriter
from nas.training.epoch import Epoch
from tests.conftest import DIGITS

Script = Callable[[Task], Iterator[Message]]
Need = Callable[[int, Proposal], int]
"""Bytes that a trial needs, by its number and proposal."""

CAP = 100
"""Bytes."""


class ScriptedEngine:
    """Every trial plays a script, one message a turn, until it ends or is stopped."""

    def __init__(self, script: Script, workers: int = 1, *, pace: float = 1.0) -> None:
        self._script = script
        self._pace = pace
        self._plays: list[Iterator[Message] | None] = [None] * workers
        self.tasks: list[Task | None] = [None] * workers
        self._posted: deque[Message] = deque()
        self.most_at_once = 0
        self.stopped: list[int] = []
        self.given: list[Task] = []
        self.killed: list[int] = []

    def open(self) -> None:
        for worker in range(len(self.tasks)):
            self.post(Ready(worker=worker, device="cpu", constants=MemoryConstants(), pace=self._pace))

    def free_workers(self) -> dict[int, str]:
        return {worker: "cpu" for worker, task in enumerate(self.tasks) if task is None}

    def start(self, worker: int, task: Task) -> None:
        assert self.tasks[worker] is None
        self.tasks[worker], self._plays[worker] = task, self._script(task)
        self.given.append(task)
        self.most_at_once = max(self.most_at_once, sum(task is not None for task in self.tasks))

    def stop(self, number: int, *, keep: bool = False) -> None:
        self.stopped.append(number)
        self.play(number, iter((epoch(number, 99), Ended(number=number, how="stopped"))))

    def kill(self, number: int, reason: str) -> None:
        self.killed.append(number)
        worker = next(worker for worker, task in enumerate(self.tasks) if task and task.number == number)
        self.play(number, iter([Died(worker=worker, number=number, reason=reason)]))

    def play(self, number: int, messages: Iterator[Message]) -> None:
        """From now on, the worker of a trial says these."""
        for worker, task in enumerate(self.tasks):
            if task is not None and task.number == number:
                self._plays[worker] = messages

    def retire(self, worker: int) -> None: ...

    def post(self, message: Message) -> None:
        self._posted.append(message)

    def messages(self, timeout: float) -> list[Message]:
        said = [self._posted.popleft() for _ in range(len(self._posted))]  # a planner's thread may post
        for worker, play in enumerate(self._plays):
            if play is not None and (message := next(play, None)) is not None:
                said.append(message)
                if isinstance(message, Ended | Died):
                    self.tasks[worker] = self._plays[worker] = None
        if not said:
            time.sleep(min(timeout, 0.001))
        return said

    def close(self) -> None: ...


class ScriptedPlanner:
    """Trials need what a test says; half of it with each plan after the first, down to a quarter."""

    def __init__(
        self, engine: ScriptedEngine, need: Need, calls: Callable[[int], float] | None = None
    ) -> None:
        """`calls`: what a step of a trial does, by its number; nothing is known of it if None."""
        self._engine = engine
        self._need = need
        self._calls = calls

    def open(self) -> None: ...

    def estimate(self, proposals: Sequence[Proposal], enough: int) -> None:
        works = [self._calls and {"calls": 19 * self._calls(place)} for place, _ in enumerate(proposals)]
        self._engine.post(Estimated(works=tuple(works)))

    def plan(
        self,
        number: int,
        proposal: Proposal,
        constants: MemoryConstants,
        after: Levers | None = None,
    ) -> None:
        accumulation = 1 if after is None else 2 * after.accumulation
        needed = self._need(number, proposal) // accumulation
        answer: MemoryPlan | DoesNotFit
        if accumulation <= 4 and needed <= CAP:
            answer = MemoryPlan(
                micro_batch=64 // accumulation,
                accumulation=accumulation,
                checkpointing=False,
                reservation=needed,
                memory=Memory(activations=needed),
                work=self._calls
                and StepWork(micro_batch={"calls": self._calls(number)}, step={}, evaluation={}),
                evaluation_batch=64,
            )
        else:
            answer = DoesNotFit(cap=CAP, smallest_cap=needed, memory=Memory(activations=needed))
        self._engine.post(Planned(number=number, answer=answer))


def epoch(number: int, step: int, accuracy: float = 0.5, *, again: bool = False) -> Trained:
    record = Epoch(
        number=step,
        train_loss=1.0,
        val_loss=float("nan") if step == 1 else 1.0,
        val_accuracy=accuracy,
        learning_rate=0.1,
        seconds=0.5,
        images_per_second=1000.0,
        peak_allocated=None,
        peak_reserved=None,
        peak_resident=2**20,
    )
    return Trained(number=number, epoch=record, again=again)


def learns(*curve: float) -> Script:
    def script(task: Task) -> Iterator[Message]:
        for step, accuracy in enumerate(curve[: task.epochs], start=1):
            yield epoch(task.number, step, accuracy)
        yield Ended(number=task.number, how="completed")

    return script


def ends(how: str, reason: str = "no such luck") -> Script:
    return lambda task: iter([Ended(number=task.number, how=how, reason=reason)])


def dies(reason: str = "no such luck") -> Script:
    return lambda task: iter([Died(worker=0, number=task.number, reason=reason)])


def make_driver(
    store: StudyWriter,
    space: Space,
    engine: ScriptedEngine,
    need: Need = lambda number, proposal: 10,
    budget: int = 10 * CAP,
    calls: Callable[[int], float] | None = None,
    listed: bool = False,
) -> Driver:
    memory = MemoryBudget(CAP, ["cpu"] * len(engine.tasks), {"cpu": budget}, store.calibration)
    return Driver(store, space, DIGITS, engine, ScriptedPlanner(engine, need, calls), memory, listed=listed)


def run(
    store: StudyWriter, space: Space, script: Script, workers: int = 1, **settings: Any
) -> tuple[list[Event], ScriptedEngine]:
    engine = ScriptedEngine(script, workers)
    return list(make_driver(store, space, engine, **settings).run()), engine


def outcomes(store: StudyWriter) -> list[str]:
    return [record.outcome.value for record in store.trials()]
