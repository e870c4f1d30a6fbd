"""A trial on its way from ask to tell."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import Trial

from nas.memory.planned import MemoryPlan
from nas.seconds.work import Work
from nas.space import Proposal
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport


@dataclass(eq=False)
class LiveTrial:
    """What the driver knows of a trial that it has asked for and not told yet."""

    trial: Trial
    proposal: Proposal
    seed: int
    retry_of: int | None
    """Number of the trial that it repeats."""
    origin: int
    """Number of the first of its chain of retries, which names its checkpoint."""
    deaths: int
    """Workers that died of it."""
    resumes: bool = False
    """Whether an earlier run has left a checkpoint of it."""
    recoveries: int = 0
    """Times it ran out of memory."""
    trouble: str | None = None
    """What happened when it ran out of memory the last time."""
    plan: MemoryPlan | None = None
    """How it trains; None until it is planned."""
    work: Work | None = None
    """What an epoch does; None where nothing could be predicted."""
    epoch_seconds: float | None = None
    """Predicted seconds of an epoch, validation included."""
    pace: float | None = None
    """Pace of the worker that trains it: see `nas.seconds.rates`."""
    overtaken: int = 0
    """Trials that came later and started earlier."""
    worker: int | None = None
    """Index of the worker that has it; None while it waits."""
    built: bool = False
    """Whether its worker has built it."""
    multiply_adds: int | None = None
    curve: list[Epoch] = field(default_factory=list)
    by_class: list[list[int]] | None = None
    """How the validation images were classified after its last epoch: the rows of `ClassCounts`."""
    partial_reports: list[PartialReport] = field(default_factory=list)
    """Those within the first epoch."""
    measured: bool = False
    """Whether its memory has been compared with the prediction."""
    started: float = field(default_factory=time.monotonic)
    """When its worker took it; before that, when it was asked for."""
    heard: float = 0.0
    """When its worker last said something."""

    def starts(self, worker: int) -> None:
        """A worker takes it, which has to build it first."""
        self.worker, self.built = worker, False
        self.started = self.heard = time.monotonic()

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def reservation(self) -> int:
        """Bytes that are kept for its process."""
        assert self.plan is not None
        return self.plan.reservation

    @property
    def last(self) -> Epoch | None:
        return self.curve[-1] if self.curve else None

    def is_new(self, report: PartialReport) -> bool:
        """Whether nothing was told of the trial after so many images."""
        return not self.curve and all(report.images_seen > told.images_seen for told in self.partial_reports)

    @property
    def best_epoch(self) -> int:
        """Number of the first epoch of highest value; 0 before any."""
        best = max((epoch.value for epoch in self.curve), default=-math.inf)
        return next((epoch.number for epoch in self.curve if epoch.value == best), 0)

    @property
    def planned(self) -> dict[str, Any]:
        """Columns of `nas_trials`: how it trains and what that takes."""
        assert self.plan is not None
        return {
            "plan": asdict(self.plan.levers),
            "predicted_memory": self.plan.parts,
            "predicted": self.plan.reservation,
            "recoveries": self.recoveries,
            "work": self.work,
            "predicted_seconds": self.epoch_seconds,
        }
