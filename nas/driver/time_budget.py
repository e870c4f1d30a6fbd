"""What the driver knows of time: what an epoch of a trial takes, what a trial may take, what is left."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from nas.driver.live_trial import LiveTrial
from nas.engines.messages import Ready
from nas.recipe import Recipe
from nas.seconds.machine import remember, remembered
from nas.seconds.rates import Rates, Sample, reference, seconds_of
from nas.seconds.work import Work
from nas.space import DataInfo
from nas.study.records import TrialRecord, typical
from nas.training.epoch import Epoch

SHARE = 1 / 6
"""The part of a time limit that one trial may take."""

MULTIPLE = 40
"""Without a time limit a trial may be so many times the work of the study's first one. The dearest start of
our spaces is 29 times the cheapest; the dearest tenth of random proposals for CIFAR-10 is beyond."""

CAREFUL = 1.1
"""A trial is started if so many times its predicted seconds are left."""

RECENT = 20
"""Epochs that tell how busy the machine is."""

PATIENCE = 20
"""So many proposals in a row that cannot end in what is left end the search."""

SETTLED = 5
"""Trials after which predictions are good: until then, `CAREFUL` is doubled in its distance from 1."""


@dataclass(frozen=True)
class Verdict:
    """What a trial would take, beside what it may take."""

    needed: float
    """Seconds; or its work, where no clock decides."""
    allowed: float
    why: str
    """What sets the limit, in words."""
    late: bool = False
    """Whether the limit is what is left of the run's time."""

    @property
    def excess(self) -> float:
        """What it needs over what is allowed, less one: above 0, the trial may not start."""
        return self.needed / max(self.allowed, 1e-3) - 1


class TimeBudget:
    """Predicts the seconds of trials, and compares them with what they may take.

    Without a time limit, and without `--trial-time`, nothing is decided by seconds: only predicted work is
    compared with predicted work, so that a seed proposes the same trials on every machine.
    """

    def __init__(
        self, recipe: Recipe, info: DataInfo, records: Sequence[TrialRecord], *, bound: bool
    ) -> None:
        """Args:
        records: trials of the study so far, which teach how predictions fare.
        bound: whether a trial may take too long at all: baselines may take what they need.
        """
        self._recipe, self._info, self._bound = recipe, info, bound
        self._deadline = math.inf
        self._workers: dict[int, tuple[str, float]] = {}
        """Name of the device and pace, by worker."""
        self._rates: dict[str, Rates] = {}
        self._measured = list(samples_of(records))
        self._learned: dict[int, Sample] = {}
        """The sample of each trial of this run, by its number."""
        self._first = next((record.work for record in records if record.work), None)
        """Work of an epoch of the study's first trial."""
        started = next((record for record in records if record.outcome.charged or record.work), None)
        self._compares = started is None or bool(started.work)
        """Whether it is known: an earlier nas has not kept it, and then nothing is too much."""
        self._slowdowns: deque[float] = deque(maxlen=RECENT)
        """Seconds over busy seconds of the last epochs: what workers wait for one another, and for others."""
        self._refused = 0
        """Proposals in a row that could not end in what is left."""
        self._least: Work | None = min(
            (record.work for record in records if record.work), key=_reference_seconds, default=None
        )
        """Work of an epoch of the cheapest trial that is known."""

    def begins(self, deadline: float) -> None:
        """The run has so long, by `time.monotonic`."""
        self._deadline = deadline

    @property
    def left(self) -> float:
        """Seconds until the run's time is up; infinite without a limit."""
        return self._deadline - time.monotonic()

    def ready(self, message: Ready) -> None:
        """A worker stands."""
        self._workers[message.worker] = message.device, message.pace
        if message.device not in self._rates:
            samples = remembered(message.device)
            known = [each for device, each in self._measured if device == message.device]
            samples += [each for each in known if each not in samples]  # it may have been remembered
            self._rates[message.device] = Rates(message.device, samples)

    def predict(self, trial: LiveTrial) -> None:
        """Note what an epoch of a planned trial does, and how many seconds that takes where it takes most."""
        plan, training = trial.plan, trial.proposal.training
        assert plan is not None
        if plan.work is None:
            return
        batch = min(training.batch_size, self._info.num_train)
        trial.work = plan.work.epoch(
            steps=self._info.num_train // batch,
            accumulation=plan.accumulation,
            evaluations=math.ceil(self._info.num_val / max(1, plan.evaluation_batch)),
        )
        self._first = self._first or trial.work
        self._least = min(self._least or trial.work, trial.work, key=_reference_seconds)
        trial.epoch_seconds = self.epoch_seconds(trial.work)

    def epoch_seconds(self, work: Work) -> float | None:
        """Seconds that a work takes in the slowest worker; None before one stands."""
        seconds = [self._rates[device].predict(work, pace) for device, pace in self._workers.values()]
        return self._slowdown * max(seconds) if seconds else None

    @property
    def _cheapest(self) -> float:
        """Seconds of the cheapest trial that is known; infinite where none is."""
        seconds = self.epoch_seconds(self._least) if self._least else None
        return math.inf if seconds is None else seconds * self._recipe.epochs

    @property
    def settled(self) -> bool:
        """Whether so many trials were timed that predictions are good."""
        return all(len(rates) >= SETTLED for rates in self._rates.values())

    @property
    def by_clock(self) -> bool:
        """Whether seconds decide what a trial may take, rather than its work."""
        return self._recipe.time_limit is not None or self._recipe.trial_time != "auto"

    def share(self, limit: float | None, cheapest: float) -> float:
        """Seconds that a trial may take under a time limit; the cheapest may always take what it needs."""
        if self._recipe.trial_time != "auto":
            return self._recipe.trial_time
        return math.inf if limit is None else max(SHARE * limit, cheapest)

    def judge(self, trial: LiveTrial) -> Verdict | None:
        """A planned trial beside its share, or beside what is left; None where nothing limits it."""
        if not self._bound or trial.resumes or trial.work is None:
            return None  # one that goes on from its checkpoint has been let in before
        if not self.by_clock:
            return self.by_work(trial.work, self._first)
        if trial.epoch_seconds is None:
            return None
        needed = trial.epoch_seconds * self._recipe.epochs
        allowed = self.share(self._recipe.time_limit, self._cheapest)
        reason = f"needs about {duration(needed)}, and a trial may take {duration(allowed)} (--trial-time)"
        verdict = Verdict(needed, allowed, reason)
        if verdict.excess > 0:
            return verdict
        late = self.out_of_time(trial)
        self._refused = self._refused + 1 if late else 0
        return late or verdict

    def out_of_time(self, trial: LiveTrial) -> Verdict | None:
        """Of a trial that cannot end any more in what is left; None of one that can."""
        if not self._bound or trial.resumes or trial.epoch_seconds is None:
            return None
        epochs = self._recipe.epochs - len(trial.curve)  # it may have lost its worker
        needed, left = trial.epoch_seconds * epochs, max(0.0, self.left)
        if needed * self.careful <= left:
            return None
        return Verdict(
            needed,
            left / self.careful,
            f"needs about {duration(needed)}, and {duration(left)} are left",
            late=True,
        )

    @property
    def nothing_can_end(self) -> bool:
        """Whether nothing that is proposed, or that is known, could end in what is left."""
        if not self._bound or self._deadline == math.inf or self._cheapest == math.inf:
            return False
        return self._refused >= PATIENCE or self._cheapest * self.careful > self.left

    def learn(self, trial: LiveTrial, worker: int) -> bool:
        """Compare the epochs of a trial with their prediction. Returns whether it is the first time."""
        device, pace = self._workers.get(worker, (None, 1.0))
        if trial.work is None or device is None:
            return False
        last, trial.pace = trial.curve[-1], pace
        if last.busy_seconds:
            self._slowdowns.append(last.seconds / last.busy_seconds)
        rates, sample = self._rates[device], Sample(trial.work, computing(trial.curve), pace)
        if earlier := self._learned.get(trial.number):
            rates.correct(earlier, sample)
        else:
            rates.add(sample)
        first = trial.number not in self._learned
        self._learned[trial.number] = sample
        return first

    def remember(self) -> None:
        """Keep what was learned for the next study on this machine."""
        for device, rates in self._rates.items():
            if self._learned:
                remember(device, rates.samples)

    @property
    def _slowdown(self) -> float:
        return median(self._slowdowns) if self._slowdowns else 1.0

    @property
    def careful(self) -> float:
        """A trial is started if so many times its predicted seconds are left."""
        return CAREFUL if self.settled else 1 + 2 * (CAREFUL - 1)

    def by_work(self, work: Work, first: Work | None) -> Verdict | None:
        """By the reference alone, which is the same on every machine; None where nothing is too much.

        Args:
            first: of the study's first trial.
        """
        if first is None or not self._compares:
            return None
        needed, unit = _reference_seconds(work), _reference_seconds(first)
        reason = (
            f"needs {needed / unit:,.0f} times the work of the first trial, and {MULTIPLE} times is the most"
            " (--trial-time)"
        )
        return Verdict(needed, MULTIPLE * unit, reason)


def _reference_seconds(work: Work) -> float:
    """What compares works, on every machine alike."""
    return seconds_of(work, reference("cpu"))


def samples_of(records: Iterable[TrialRecord]) -> Iterable[tuple[str, Sample]]:
    """What stored trials teach, with the names of their devices."""
    for record in records:
        if record.work and record.pace and record.device and record.epochs:
            yield record.device, Sample(record.work, computing(record.epochs), record.pace)


def computing(epochs: Sequence[Epoch]) -> float:
    """Seconds of computing that an epoch took: without what a processor did meanwhile for others."""
    seconds = typical(epoch.busy_seconds or epoch.seconds for epoch in epochs)
    assert seconds is not None
    return seconds


def duration(seconds: float) -> str:
    """About how long, such as "14 minutes"."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
