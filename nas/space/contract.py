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
- list the cheapest choice of a category first: where no start fits the memory cap, the lowest of everything
  is tried.

Optional names: `starts(data) -> list[dict[str, Any]]`, the parameters of proposals that are known to do well,
cheapest first, which a study trains before anything else (without it, two cheap ones from the middle of all
ranges); `VERSION` (an int, 1 when absent; raise it when stored parameters change their meaning) and
the module's docstring, whose first line describes the space in listings.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from nas.errors import InvalidSetting, UnknownName

if TYPE_CHECKING:  # a listing of spaces or a look at a study must not wait seconds for torch
    from torch import nn

Optimizer = Literal["sgd", "adam", "adamw", "nadam", "muon"]
Schedule = Literal["constant", "step", "cosine", "restarts", "onecycle", "linear", "plateau"]
AUGMENTATIONS = (
    *("shift", "flip", "alternating_flip", "rotation"),
    *("brightness", "contrast", "noise", "cutout"),
)
"""In the order in which they are applied. "alternating_flip" flips each image in every second epoch."""
COLOURS = ("brightness", "contrast", "noise")
"""Those that change values: for images of 8 bits that are seen as they are."""

ClassWeights = Literal["balanced"] | Mapping[str, float] | None

T = TypeVar("T")


def added(default: T) -> T:
    """The default of a field that came after proposals were stored: descriptions leave the field out there.

    So a proposal keeps its digest, and with it its seed, when its architecture or training gets a new field.
    """
    return field(default=default, metadata={"added": True})


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
    """Which of AUGMENTATIONS leave the class of an image unchanged."""
    bits: int = 8
    """Of a value of a pixel: 8 or 16. Networks read floats in any case."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one proposal is trained. The number of epochs belongs to the recipe, not to the proposal."""

    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    """Peak learning rate."""
    weight_decay: float = 0.0
    """L2 penalty; decoupled for adamw and muon."""
    momentum: float = 0.9
    """Nesterov momentum of sgd and muon; ignored by the others."""
    schedule: Schedule = "constant"
    warmup: float = 0.0
    """Part of all steps, in [0, 1), in which the learning rate first rises linearly; not for onecycle."""
    label_smoothing: float = 0.0
    augmentation: tuple[str, ...] = ()
    """Any of AUGMENTATIONS, in their order; one kind of flip at most."""
    mixup: float = added(0.0)
    """Alpha of the Beta distribution that says how two images are mixed; 0 mixes none."""
    clip_norm: float = added(0.0)
    """The largest norm of all gradients together; larger ones are scaled down to it. 0 scales none."""
    ema_decay: float = added(0.0)
    """Of an exponential moving average of the weights, which is evaluated and kept; 0 averages none."""
    class_weights: ClassWeights = added(None)  # noqa: RUF009
    """How much images of each class count in the loss: "balanced" for all classes to count alike, or by the
    name of a class, 1 where none is named. Only proportions matter: their mean over the images is made 1."""

    def __post_init__(self) -> None:
        flips = {"flip", "alternating_flip"} & set(self.augmentation)
        a_share = "at least 0 and less than 1"
        for name, ok, allowed in (
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("optimizer", self.optimizer in get_args(Optimizer), ", ".join(get_args(Optimizer))),
            ("learning_rate", 0 < self.learning_rate < math.inf, "more than 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", 0 <= self.momentum < 1, a_share),
            ("schedule", self.schedule in get_args(Schedule), ", ".join(get_args(Schedule))),
            ("warmup", 0 <= self.warmup < 1, a_share),
            ("label_smoothing", 0 <= self.label_smoothing < 1, a_share),
            ("augmentation", set(self.augmentation) <= set(AUGMENTATIONS), ", ".join(AUGMENTATIONS)),
            ("augmentation", len(flips) < 2, "one kind of flip"),
            ("mixup", 0 <= self.mixup < math.inf, "0 or more"),
            ("clip_norm", 0 <= self.clip_norm < math.inf, "0 or more"),
            ("ema_decay", 0 <= self.ema_decay < 1, a_share),
            ("class_weights", _are_weights(self.class_weights), "balanced, or numbers above 0 by class"),
        ):
            if not ok:
                raise ValueError(f"Training.{name} cannot be {getattr(self, name)!r}. Allowed: {allowed}.")


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

    @cached_property
    def description(self) -> dict[str, dict[str, Any]]:
        """The fields of both as plain data, but for those `added` that have their default."""
        return {"architecture": _described(self.architecture), "training": _described(self.training)}

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits; equal for equal proposals on any machine."""
        content = [type(self.architecture).__qualname__, self.description]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def seed(self, study_seed: int) -> int:
        """The trial's seed: the same proposal in the same study gives the same result, whoever trains it."""
        digest = hashlib.sha256(f"{study_seed}:{self.digest}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


def override(training: Training, changes: Mapping[str, Any]) -> Training:
    """`training` with some of its settings fixed, as a recipe fixes them; in canonical form.

    Args:
        changes: values by field. An augmentation may be text, as in "shift+flip" or "none".

    Raises:
        UnknownName: there is no such setting.
        InvalidSetting: a setting cannot have its value, or an optimizer comes without its learning rate.
    """
    settings = {each.name for each in fields(Training)}
    for name in changes:
        if name not in settings:
            raise UnknownName("training setting", name, settings)
    if "optimizer" in changes and "learning_rate" not in changes:
        raise InvalidSetting("A fixed optimizer needs a fixed learning_rate: each has a range of its own.")
    try:
        changed = replace(training, **{name: _read(name, value) for name, value in changes.items()})
    except ValueError as error:
        raise InvalidSetting(str(error)) from error
    return replace(changed, warmup=0.0) if changed.schedule == "onecycle" else changed


def _read(name: str, value: Any) -> Any:
    """What the field `name` of Training holds for `value`; ValueError where that is of another kind."""
    if name in ("optimizer", "schedule"):
        return value
    if name == "class_weights":
        return None if value == "none" else value
    if name == "augmentation":
        if not isinstance(value, str | list | tuple):
            raise ValueError(f"Training.{name} cannot be {value!r}. It is a list of names.")
        names = value.split("+") if isinstance(value, str) else [str(each) for each in value]
        known = [each for each in AUGMENTATIONS if each in names]
        return (*known, *(each for each in names if each not in (*known, "none", "")))
    kinds, kind = (int, "a whole number") if name == "batch_size" else (int | float, "a number")
    if not isinstance(value, kinds) or isinstance(value, bool) or abs(value) > sys.float_info.max:
        raise ValueError(f"Training.{name} cannot be {value!r}. It is {kind}.")
    return value if name == "batch_size" else float(value)


def check_classes(training: Mapping[str, Any], classes: Iterable[str]) -> None:
    """Whether training settings weigh classes that there are.

    Raises:
        UnknownName: there is no such class.
    """
    weights = training.get("class_weights")
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in set(classes):
            raise UnknownName("class", name, classes)


def _are_weights(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return value in (None, "balanced")
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in value.values())
    return bool(value) and numbers and all(0 < each < math.inf for each in value.values())


def _described(part: Any) -> dict[str, Any]:
    values = asdict(part)
    for each in fields(part):
        if "added" in each.metadata and getattr(part, each.name) == each.default:
            del values[each.name]
    return values


def in_words(description: Mapping[str, Any]) -> str:
    """The fields of an architecture, or of training settings, on one line; without what they leave out."""
    parts = []
    for name, value in description.items():
        match value:
            case None | False | [] | ():
                continue
            case True:
                parts.append(name)
            case Mapping():
                parts.append(f"{name} {'-'.join(f'{key} {each:.3g}' for key, each in value.items())}")
            case [*values]:
                parts.append(f"{name} {'-'.join(str(each) for each in values)}")
            case float():
                parts.append(f"{name} {value:.3g}")
            case _:
                parts.append(f"{name} {value}")
    return ", ".join(parts)
