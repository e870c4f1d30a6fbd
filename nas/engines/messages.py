"""What driver and workers say to each other: plain data, one JSON object a line."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from nas.training.epoch import Epoch


@dataclass(frozen=True, kw_only=True)
class Setup:
    """To a new worker: all that its trials share."""

    space: str
    """What `nas.plugins.load_space` takes."""
    data: str
    """Folder of the decoded dataset."""
    device: str
    threads: int
    precision: str
    """fp32 or bf16."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """To a worker: train this. Space and parameters rebuild the proposal."""

    number: int
    params: dict[str, Any]
    seed: int
    epochs: int
    weights: str
    """File to write the weights to after the last epoch."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """To a worker: leave trial `number` where it is, in the midst of an epoch."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From a worker that can take its first task."""

    worker: int
    device: str
    """The device's own name."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """From a worker: the network stands, training begins."""

    number: int
    num_parameters: int
    multiply_adds: int
    device: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """From a worker: one more epoch."""

    number: int
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class Ended:
    """From a worker: the trial is over and the worker is free."""

    number: int
    how: str
    """completed, stopped, diverged, out of memory or failed."""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Died:
    """From the engine: a worker ended without being asked to, and took its trial along."""

    worker: int
    number: int | None
    reason: str


Command = Setup | Task | Stop
Message = Ready | Built | Trained | Ended | Died

_KINDS = {kind.__name__: kind for kind in (Setup, Task, Stop, Ready, Built, Trained, Ended)}


def encode(message: Command | Message) -> bytes:
    """One line, newline included."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Any:
    """The message that `encode` wrote."""
    content = json.loads(line)
    if "epoch" in content:
        content["epoch"] = Epoch(**content["epoch"])
    return _KINDS[content.pop("kind")](**content)
