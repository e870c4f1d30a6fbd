"""The memory of a trial: what was predicted, and what was measured of the same."""

from __future__ import annotations

from collections.abc import Sequence

from nas.study.records import TrialRecord
from nas.training.epoch import Epoch
from nas.views.format import memory


def predicted_in_words(record: TrialRecord) -> str | None:
    """The total with its three largest parts."""
    parts = record.predicted_memory
    if not parts:
        return None
    largest = sorted(parts.items(), key=lambda part: -part[1])[:3]
    told = ", ".join(f"{name.replace('_', ' ')} {memory(size)}" for name, size in largest if size)
    return f"{memory(record.predicted or sum(parts.values()))}, most of it {told}"


def measured_in_words(record: TrialRecord) -> str | None:
    """The peaks of all epochs."""
    peaks = {
        "live tensors": peak(record.epochs, "peak_allocated"),
        "reserved": peak(record.epochs, "peak_reserved"),
        "whole process": peak(record.epochs, "peak_resident"),
    }
    return ", ".join(f"{name} {memory(size)}" for name, size in peaks.items() if size) or None


def peak(epochs: Sequence[Epoch], kind: str) -> int | None:
    """The most bytes of any epoch, of peak_allocated, peak_reserved or peak_resident."""
    sizes = (getattr(epoch, kind) for epoch in epochs)
    return max((size for size in sizes if size is not None), default=None)
