"""What driver and workers say to each other: plain data, one JSON object a line."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from nas.memory.planned import DoesNotFit, MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Memory
from nas.seconds.work import StepWork, Work
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport


@dataclass(frozen=True, kw_only=True)
class Setup:
    """To a new worker: all that its trials share."""

    space: str
    """What `nas.space.load.load_space` takes."""
    training: dict[str, Any]
    """Training settings that are fixed."""
    data: str
    """Folder of the decoded dataset."""
    device: str
    threads: int
    precision: str
    """Precision of training: fp32 or bf16."""
    memory_cap: int | None = None
    """Bytes that one trial may use; None for all there are."""
    space_version: int | None = None
    """Version of one of our own spaces, if it is not the newest."""
    with_val: bool = False
    """Whether the validation images are trained on too; what is then told of them is not validation."""
    metric: str = "accuracy"
    """What the value of an epoch is."""
    compile: bool = False
    """Whether networks go through `torch.compile`."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """To a worker: train this. Space and parameters rebuild the proposal."""

    number: int
    params: dict[str, Any]
    seed: int
    epochs: int
    plan: MemoryPlan
    weights: str
    """File to write the weights to after the last epoch."""
    checkpoint: str
    """File to go on from, if it is there, and to leave checkpoints in."""
    report_points: list[int] = field(default_factory=list)
    """Training images after which to report within the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """To a worker: leave trial `number` where it is, in the midst of an epoch."""

    number: int
    keep: bool = False
    """Whether to leave a checkpoint to go on from, or none."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From a worker that can take its first task."""

    worker: int
    device: str
    """The device's own name."""
    constants: MemoryConstants
    """Memory that all its trials share, as measured."""
    resident: int = 0
    """Bytes of the process before its first trial, and of the images that it will read."""
    own: int = 0
    """Bytes of the process that no other shares, before its first trial."""
    pace: float = 1.0
    """Seconds of a small training step over those of the reference: see `nas.seconds.rates`."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """From a worker: the network stands, training begins."""

    number: int
    num_parameters: int
    multiply_adds: int | None
    """None of a network that cannot be followed without values."""
    device: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """From a worker: one more epoch."""

    number: int
    epoch: Epoch
    again: bool = False
    """Whether it was trained before the trial was interrupted, and comes from the checkpoint."""
    by_class: list[list[int]] | None = None
    """How the validation images were classified, as `ClassCounts.rows` has it; None with `again`."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """From a worker: a look at the validation split within the first epoch."""

    number: int
    report: PartialReport
    again: bool = False
    """Whether it was made before the trial was interrupted, and comes from the checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """From a worker, now and then: how far it is inside an epoch. For the eye: nothing depends on it."""

    number: int
    epochs: int
    """Whole epochs that are trained."""
    images: int
    """Images of the next one that were trained on."""
    of: int
    """Images of an epoch."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """From a worker: the trial is over and the worker is free."""

    number: int
    how: str
    """completed, stopped, diverged, out of memory, no room (on the disk) or failed."""
    reason: str | None = None
    own: int = 0
    """Bytes of the process that no other shares, after it; 0 where nobody knows."""
    context: int = 0
    """Bytes that it takes of a card outside the caching allocator, after it; 0 where nobody knows. They grow
    by every kernel that CUDA loads when it is first needed."""


@dataclass(frozen=True, kw_only=True)
class Died:
    """From the engine: a worker ended without being asked to, and took its trial along."""

    worker: int
    number: int | None
    reason: str
    resident: int = 0
    """The most bytes that the process has had; 0 where nobody knows."""
    out_of_memory: bool = False
    """Whether the kernel ended it because the system, or our part of it, had no memory left."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """From the planner: how a trial can train within the memory cap, or that it cannot."""

    number: int
    answer: MemoryPlan | DoesNotFit


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """From the planner: roughly what an epoch of each of some proposals does."""

    works: tuple[Work | None, ...]
    """None of those that nobody can follow, or had no time to."""


@dataclass(frozen=True, kw_only=True)
class NotPlanned:
    """From the planner: the network cannot even be built."""

    number: int
    reason: str


Command = Setup | Task | Stop
Message = Ready | Built | Trained | Reported | Seen | Ended | Died | Estimated | Planned | NotPlanned

_KINDS = {kind.__name__: kind for kind in (Setup, Task, Stop, Ready, Built, Trained, Reported, Seen, Ended)}
_NESTED = {
    "epoch": Epoch,
    "report": PartialReport,
    "plan": MemoryPlan,
    "memory": Memory,
    "constants": MemoryConstants,
    "work": StepWork,
}


def encode(message: Command | Message) -> bytes:
    """One line, newline included."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Any:
    """The message that `encode` wrote."""
    content = _with_nested(json.loads(line))
    return _KINDS[content.pop("kind")](**content)


def _with_nested(content: dict[str, Any]) -> dict[str, Any]:
    for name in _NESTED.keys() & content.keys():
        if content[name] is not None:
            content[name] = _NESTED[name](**_with_nested(content[name]))
    return content
