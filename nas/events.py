"""What happens in a search, told by the driver to whoever watches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch

Why = Literal["trials", "time", "target", "exhausted", "stopped"]
"""Why a search ends: all trials are trained, the time is up, the target is reached, the space has nothing new
to offer, somebody stopped it."""


@dataclass(frozen=True, kw_only=True)
class SearchStarted:
    """The study is open, the workers are starting."""

    study: str
    recipe: Recipe
    """As resolved."""
    data: dict[str, Any]
    """As stored with the study: name, shape, num_classes, counts, notes, …"""
    device: str
    workers: int
    counts: dict[str, int]
    """Trials by outcome that the study already has."""
    best: tuple[int, float] | None
    """Number and value of the best trial so far."""
    curve: tuple[float, ...] = ()
    """The best value so far after each completed trial of the study."""
    memory_cap: int | None = None
    """Bytes that one trial may use."""
    budgets: dict[str, int] = field(default_factory=dict)
    """By device, the bytes that its running trials may use together."""
    seconds: float = 0.0
    """That the run has taken already, when a watcher comes late."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run is likely to take, told once, before its first trial; `nas.driver.forecast` says how it is
    added up. A run of which nothing can be predicted tells none."""

    trials: int
    """Trials that are left to train."""
    seconds: float
    """Until the last of them ends."""
    low: float
    high: float
    """Seconds between which that is likely to lie."""
    known: bool
    """Whether so much was timed on the device that predictions are good; else they are a guess."""
    pruned: bool
    """Whether trials that end early are accounted for; else all are taken to train to their end."""
    starts: tuple[float, ...]
    """Seconds of each trial that the sampler does not propose, in order."""
    mean: float
    """Seconds of any other."""
    fits: int | None = None
    """Trials that are likely to end within the time limit; None where there is none."""
    enough: float | None = None
    """Where those are fewer than four, and than all: seconds of a time limit in which so many would end."""


@dataclass(frozen=True, kw_only=True)
class WorkerReady:
    """A worker has loaded the data and can train."""

    worker: int
    device: str
    """The device's own name."""


@dataclass(frozen=True, kw_only=True)
class TrialStarted:
    """A trial was given to a worker."""

    number: int
    worker: int
    network: str
    """The architecture in a few words."""
    retry_of: int | None
    device: str = ""
    """Whose budget it uses."""
    reservation: int | None = None
    """Bytes of the budget that are kept for it."""
    plan: str | None = None
    """How its batches are trained, such as "4 x 32 images, checkpoints"."""
    epoch_seconds: float | None = None
    """Seconds that an epoch of it is predicted to take."""
    seconds: float = 0.0
    """That it has run already, when a watcher comes late."""


@dataclass(frozen=True, kw_only=True)
class ImagesSeen:
    """How far a running trial is inside an epoch; told now and then, to watchers and not to loggers."""

    number: int
    epochs: int
    """Whole epochs that it has trained."""
    images: int
    """Images of the next one that it has trained on."""
    of: int
    """Images of an epoch."""

    @property
    def part(self) -> float:
        """Of the epoch, in [0, 1]."""
        return min(1.0, self.images / self.of) if self.of else 0.0


@dataclass(frozen=True, kw_only=True)
class EpochTrained:
    """A running trial has one more epoch."""

    number: int
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial was told."""

    number: int
    outcome: Outcome
    value: float | None
    """The study's metric of a completed trial, in [0, 1]."""
    reason: str | None
    epochs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class OfBaseline:
    """What happened to a baseline: it is no trial of the study, whatever its number says."""

    name: str
    event: TrialStarted | ImagesSeen | EpochTrained | TrialEnded


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One line that a person should read: why the search stops, what went wrong on the way."""

    text: str


@dataclass(frozen=True, kw_only=True)
class SearchEnded:
    """The last event of a run."""

    why: Why


Event = (
    SearchStarted
    | Forecast
    | WorkerReady
    | TrialStarted
    | ImagesSeen
    | EpochTrained
    | TrialEnded
    | OfBaseline
    | Notice
    | SearchEnded
)

Watch = Callable[[Event], None]
"""Is told each event, in the order in which they happen."""
