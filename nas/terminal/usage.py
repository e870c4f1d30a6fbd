"""The memory of a trial: what was predicted, and what was measured of the same."""

from __future__ import annotations

from collections.abc import Iterable

from nas.study.records import TrialRecord
from nas.terminal.format import memory


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
        "live tensors": _peak(epoch.peak_allocated for epoch in record.epochs),
        "reserved": _peak(epoch.peak_reserved for epoch in record.epochs),
        "whole process": _peak(epoch.peak_resident for epoch in record.epochs),
    }
    return ", ".join(f"{name} {memory(peak)}" for name, peak in peaks.items() if peak) or None


def _peak(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)
