"""The contract of a search space.

A search space is a Python file with one function:

    def suggest(trial: optuna.trial.BaseTrial, data: DataInfo) -> Proposal

Given a live trial it proposes; given a finished trial (or `optuna.trial.FixedTrial(params)`) it rebuilds the
very same proposal, so parameters, the space's name and its `VERSION` are all that has to be stored.

The rules, held by one contract suite over every space:

- parameter ranges depend on `data` alone, so that they are static within a study;
- every combination of parameters builds: bound depth by the image size, sample a pyramid as a first width and
  non-negative drops;
- the proposal is in canonical form: widths clamped, options without effect dropped, so that equal proposals
  compare equal whatever parameters led to them;
- list the cheapest choice of a category first: a study starts with the lowest of everything.

Optional names: `VERSION` (an int, 1 when absent; raise it when stored parameters change their meaning) and
the module's docstring, whose first line describes the space in listings.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

if TYPE_CHECKING:  # a listing of spaces or a look at a study must not wait seconds for torch
    from torch import nn

Optimizer = Literal["sgd", "adam", "adamw", "nadam"]
Schedule = Literal["constant", "step", "cosine", "restarts", "onecycle"]


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What a search space may know of the data: never a pixel, never the test split."""

    name: str
    shape: tuple[int, int, int]
    """(channels, height, width)"""
    num_classes: int
    num_train: int
    num_val: int
    augmentations: tuple[str, ...]
    """Which of "shift", "flip", "cutout" leave the class of an image unchanged."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one proposal is trained. The number of epochs belongs to the recipe, not to the proposal."""

    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    """Peak learning rate."""
    weight_decay: float = 0.0
    """L2 penalty; decoupled for adamw."""
    momentum: float = 0.9
    """Nesterov momentum of sgd; ignored by the others."""
    schedule: Schedule = "constant"
    warmup: float = 0.0
    """Part of all steps, in [0, 1), in which the learning rate first rises linearly; not for onecycle."""
    label_smoothing: float = 0.0
    augmentation: tuple[str, ...] = ()
    """Any of "shift", "flip", "cutout", in this order."""

    def __post_init__(self) -> None:
        for name, value, ok in (
            ("batch_size", self.batch_size, self.batch_size >= 1),
            ("optimizer", self.optimizer, self.optimizer in get_args(Optimizer)),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf),
            ("momentum", self.momentum, 0 <= self.momentum < 1),
            ("schedule", self.schedule, self.schedule in get_args(Schedule)),
            ("warmup", self.warmup, 0 <= self.warmup < 1),
            ("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1),
            ("augmentation", self.augmentation, set(self.augmentation) <= {"shift", "flip", "cutout"}),
        ):
            if not ok:
                raise ValueError(f"Training.{name} cannot be {value!r}.")


class Architecture(Protocol):
    """A frozen dataclass that describes a network."""

    def build(self, data: DataInfo) -> nn.Module:
        """The network with fresh weights: float images (batch, channels, height, width) in, logits
        (batch, classes) out."""
        ...


@dataclass(frozen=True)
class Proposal:
    """What a trial trains: a network and the settings of its training, in canonical form."""

    architecture: Architecture
    training: Training

    @property
    def description(self) -> dict[str, dict[str, Any]]:
        """The fields of `architecture` and `training` as plain data."""
        architecture: Any = self.architecture
        return {"architecture": asdict(architecture), "training": asdict(self.training)}

    @property
    def digest(self) -> str:
        """64 hexadecimal digits; equal for equal proposals on any machine."""
        content = [type(self.architecture).__qualname__, self.description]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def seed(self, study_seed: int) -> int:
        """The trial's seed: the same proposal in the same study gives the same result, whoever trains it."""
        digest = hashlib.sha256(f"{study_seed}:{self.digest}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


def in_words(description: Mapping[str, Any]) -> str:
    """The fields of an architecture, or of training settings, on one line; without what they leave out."""
    parts = []
    for name, value in description.items():
        match value:
            case None | False | [] | ():
                continue
            case True:
                parts.append(name)
            case [*values]:
                parts.append(f"{name} {'-'.join(str(each) for each in values)}")
            case float():
                parts.append(f"{name} {value:.3g}")
            case _:
                parts.append(f"{name} {value}")
    return ", ".join(parts)
