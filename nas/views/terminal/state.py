"""What a search has come to: its events, added up. Views draw it, and nothing here draws."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from nas.events import (
    EpochTrained,
    Event,
    Forecast,
    ImagesSeen,
    Notice,
    OfBaseline,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    Why,
    WorkerReady,
)
from nas.metrics.base import metric_title
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch
from nas.views.outlook import forecast_lines, search_left, trial_left

UNCHARGED = (Outcome.DOES_NOT_FIT, Outcome.DUPLICATE)
"""How proposals end that no worker trains."""

BASELINE = -1
"""Stands for the number of a baseline's trial, which is none of the study."""

REASONS = 3
"""So many of the last reasons are kept."""

UNKNOWN = "no reason is known"


@dataclass
class RunningTrial:
    """A trial that a worker trains."""

    begun: TrialStarted
    """The event that told of it."""
    started: float
    """The moment of its start, in seconds on the clock of `SearchState`."""
    epoch: Epoch | None = None
    """The last epoch that it has finished."""
    part: float | None = None
    """Of the next one, in [0, 1]; None where nobody has said it."""
    taken: list[float] = field(default_factory=list)
    """Seconds of each epoch that it has finished."""
    since: float = 0.0
    """The moment when the last of them ended, or when it started."""
    baseline: str | None = None
    """The name of the baseline, if it is one."""

    def __post_init__(self) -> None:
        self.since = self.started

    @property
    def trained(self) -> int:
        """Epochs that it has finished."""
        return self.epoch.number if self.epoch else 0

    def learn(self, epoch: Epoch, now: float) -> None:
        """One more epoch is over."""
        self.epoch, self.part, self.since = epoch, None, now
        self.taken.append(epoch.seconds)

    def left(self, epochs: int, now: float) -> float | None:
        """Seconds until its last epoch ends; None before anything is known."""
        predicted = self.begun.epoch_seconds
        return trial_left(predicted, self.taken, epochs - self.trained, self.part, now - self.since)


@dataclass(frozen=True)
class Message:
    """One line for a person: a notice, or why a trial failed."""

    kind: Literal["notice", "failure"]
    text: str


class SearchState:
    """One run of a search, from its start to the last event that was added.

    All times are seconds on one clock of the caller's choice, such as `time.monotonic`.
    """

    def __init__(self, start: SearchStarted, now: float) -> None:
        self.start = start
        self.begun = now - start.seconds
        self.counts = Counter({outcome: start.counts.get(outcome, 0) for outcome in Outcome})
        """Trials of the study by outcome, those of earlier runs included."""
        self.ended = 0
        """Trials that ended in this run."""
        self.best = start.best
        self.curve = list(start.curve)
        """The best value so far after each completed trial of the study."""
        self.reasons: deque[TrialEnded] = deque(maxlen=REASONS)
        """The last trials that were pruned or do not fit."""
        self.running: dict[int, RunningTrial] = {}
        self.devices: dict[int, str] = {}
        """The name of the device of each worker that is ready."""
        self.messages = [Message("notice", note) for note in start.data.get("notes", ())]
        self.charged_seconds: list[float] = []
        """What each completed or pruned trial of this run took."""
        self.forecast: Forecast | None = None
        """What was said before the first trial."""
        self.first: float | None = None
        """When the first trial of this run started."""
        self.done = 0.0
        """Seconds that the trials were predicted to take that this run has trained and that ended."""

    def add(self, event: Event, now: float) -> None:
        """Take in one event that happened at `now`."""
        match event:
            case WorkerReady(worker=worker, device=device):
                self.devices[worker] = device
            case Forecast():
                self.forecast = event
                lines = forecast_lines(event, self.total, self.start.recipe.time_limit)
                self.messages.extend(Message("notice", line) for line in lines)
            case TrialStarted():
                trial = self.running[event.number] = RunningTrial(event, now - event.seconds)
                self.first = trial.started if self.first is None else self.first
            case EpochTrained(number=number, epoch=epoch):
                self.running[number].learn(epoch, now)
            case ImagesSeen(number=number):
                self.running[number].part = event.part
            case TrialEnded():
                self._end(event)
            case OfBaseline(name=name, event=TrialStarted() as begun):
                self.running[BASELINE] = RunningTrial(begun, now - begun.seconds, baseline=name)
            case OfBaseline(event=EpochTrained(epoch=epoch)):
                self.running[BASELINE].learn(epoch, now)
            case OfBaseline(event=ImagesSeen() as seen):
                self.running[BASELINE].part = seen.part
            case OfBaseline(event=TrialEnded()):
                self.running.pop(BASELINE, None)
            case Notice(text=text):
                self.messages.append(Message("notice", text))
            case SearchEnded(why=why):
                self.messages.extend(Message("notice", text) for text in self._ending(why))

    def _ending(self, why: Why) -> list[str]:
        """What there is to say of the end, which is nothing if all went as asked."""
        recipe = self.start.recipe
        match why:
            case "time":
                return ["The time limit is reached. Run the command again to go on."]
            case "target":
                return [f"The target {metric_title(self.metric)} of {recipe.target_accuracy} is reached."]
            case "exhausted":
                return ["The search space is exhausted: the last proposals were all trained before."]
            case "stopped":
                return ["Stopped. Run the command again to go on; trials that were cut short are repeated."]
            case "trials" if not self.ended:
                return [f"All {recipe.trials} trials were trained before. Ask for more with --trials."]
        return []

    def _end(self, event: TrialEnded) -> None:
        if trial := self.running.pop(event.number, None):
            self.done += self._predicted(trial)
        self.ended += 1
        self.counts[event.outcome] += 1
        if event.outcome.charged:
            self.charged_seconds.append(event.seconds)
        if event.value is not None:
            if self.best is None or event.value > self.best[1]:
                self.best = (event.number, event.value)
            self.curve.append(self.best[1])
        if event.outcome is Outcome.FAILED:
            failed = f"Trial {event.number} failed: {event.reason or UNKNOWN}"
            self.messages.append(Message("failure", failed))
        elif event.outcome in (Outcome.PRUNED, Outcome.DOES_NOT_FIT):
            self.reasons.append(event)

    @property
    def metric(self) -> str:
        """What the value of a trial is."""
        return self.start.recipe.metric

    @property
    def total(self) -> int:
        """Trained trials that the study shall have."""
        return self.start.recipe.trials

    @property
    def charged(self) -> int:
        """Trained trials that it has: completed and pruned."""
        return sum(number for outcome, number in self.counts.items() if outcome.charged)

    @property
    def reserved(self) -> dict[str, int]:
        """By device, the bytes that its running trials use together; without a device that has no budget and
        no trial whose bytes are known."""
        used = Counter(dict.fromkeys(self.start.budgets, 0))
        for trial in self.running.values():
            if trial.begun.reservation is not None:
                used[trial.begun.device] += trial.begun.reservation
        return dict(used)

    @property
    def images_per_second(self) -> float | None:
        """Of all running trials that have an epoch, together."""
        rates = [trial.epoch.images_per_second for trial in self.running.values() if trial.epoch]
        return sum(rates) if rates else None

    def elapsed(self, now: float) -> float:
        """Seconds since this run began."""
        return now - self.begun

    def time_left(self, now: float) -> float | None:
        """Seconds until the last trial ends or the time limit comes, or None before anything is known."""
        remaining = self.total - self.charged
        if remaining <= 0:
            return 0.0
        left = self._as_forecast(remaining, now) if self.forecast else self._as_before(remaining, now)
        if left is None:
            return None
        if self.start.recipe.time_limit is not None:
            left = min(left, self.start.recipe.time_limit - self.elapsed(now))
        return max(0.0, left)

    def _as_forecast(self, remaining: int, now: float) -> float:
        """From what was said before the first trial."""
        assert self.forecast
        trials = {number: trial for number, trial in self.running.items() if number != BASELINE}
        epochs, done = self.start.recipe.epochs, self.done
        for trial in trials.values():
            done += self._predicted(trial) * (trial.trained + (trial.part or 0.0)) / epochs
        left = [trial.left(epochs, now) for trial in trials.values()]
        return search_left(
            self.forecast,
            remaining=remaining,
            begun=self.ended + len(trials),
            workers=self.start.workers,
            ran=0.0 if self.first is None else now - self.first,
            done=done,
            running=[self.forecast.mean if each is None else each for each in left],
        )

    def _as_before(self, remaining: int, now: float) -> float | None:
        """As if every trial to come took the mean time of those that this run has trained, on all workers."""
        if not self.charged_seconds:
            return None
        mean = fmean(self.charged_seconds)
        trained = sum(min(now - trial.started, mean) for trial in self.running.values())
        return (remaining * mean - trained) / min(self.start.workers, remaining)

    def _predicted(self, trial: RunningTrial) -> float:
        """Seconds that a trial was predicted to take; those of any where that is not known."""
        seconds = trial.begun.epoch_seconds
        if seconds is not None:
            return seconds * self.start.recipe.epochs
        return self.forecast.mean if self.forecast else 0.0
