"""What there is to say of a trial, as labels and words: its note and its pages show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, plan_in_words
from nas.training.epoch import Epoch
from nas.views import format

Facts = list[tuple[str, str]]


def ending(record: TrialRecord) -> str:
    """How far a trial came, and why it ended, in one sentence."""
    after = f"after {format.plural(len(record.epochs), 'epoch')}"
    match record.outcome:
        case Outcome.COMPLETED:
            value = f"validation {record.metric_in_words} of {format.accuracy(record.value)}"
            told = f"Completed {after} with a {value}"
        case Outcome.RUNNING:
            inside = f" and {format.percent(record.part)} of the next" if record.part else ""
            told = f"Running, {after}{inside}"
        case Outcome.WAITING:
            told = "Waits to be trained"
        case _ if record.epochs:
            told = f"{record.outcome.in_words.capitalize()} {after}"
        case _:
            told = record.outcome.in_words.capitalize()
    return f"{told}: {format.clean(record.reason)}" if record.reason else f"{told}."


def training_facts(record: TrialRecord) -> Facts:
    """How it was trained; settings without effect are left out."""
    settings = dict((record.proposal or {}).get("training", {}))
    if settings.get("optimizer") != "sgd":
        settings.pop("momentum", None)
    facts = [
        (name, _value(value)) for name, value in settings.items() if value not in (None, False, 0, [], ())
    ]
    return [*_known({"plan": plan_in_words(record.plan)}), *facts]


def memory_facts(record: TrialRecord) -> Facts:
    """Predicted before it was trained, part by part, and the peaks that were measured."""
    parts = record.predicted_memory or {}
    facts = {"predicted for the process": _bytes(record.predicted or sum(parts.values()) or None)}
    for part, size in parts.items():
        facts[f"– {part.replace('_', ' ')}"] = _bytes(size or None)
    facts |= {
        "measured: tensors": _bytes(_peak(record.epochs, "peak_allocated")),
        "measured: the allocator's segments": _bytes(_peak(record.epochs, "peak_reserved")),
        "measured: the process": _bytes(_peak(record.epochs, "peak_resident")),
        "out of memory, and went on": format.plural(record.recoveries, "time") if record.recoveries else None,
    }
    return _known(facts)


def origin_facts(record: TrialRecord) -> Facts:
    """Where and when it was trained, and what it stems from."""
    return _known(
        {
            "started": record.started_at and f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC",
            "took": None if record.seconds is None else format.duration(record.seconds),
            "an epoch, as predicted": record.predicted_seconds and f"{record.predicted_seconds:.3g} s",
            "an epoch, as measured": record.measured_seconds and f"{record.measured_seconds:.3g} s",
            "device": record.device,
            "worker": record.worker,
            "seed": record.seed,
            "repeats trial": record.retry_of,
            "same as trial": record.duplicate_of,
        }
    )


def _known(facts: Mapping[str, Any]) -> Facts:
    return [(name, format.clean(str(value))) for name, value in facts.items() if value is not None]


def _peak(epochs: Sequence[Epoch], kind: str) -> int | None:
    """The most bytes of any epoch, of peak_allocated, peak_reserved or peak_resident."""
    sizes = (getattr(epoch, kind) for epoch in epochs)
    return max((size for size in sizes if size is not None), default=None)


def _bytes(size: int | None) -> str | None:
    return None if size is None else format.memory(size)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return format.real(value)
    return format.clean(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
