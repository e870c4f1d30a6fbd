"""The seam of objectives, by which trials are judged.

An objective is a file of this room, or a module that an entry point of the group `nas.objectives` names: a
number beside a trial's value, wherever trials are compared. The value itself is that of `nas.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nas.machine.plugins import OBJECTIVES
from nas.training.epoch import Epoch


class Facts(Protocol):
    """What is known of a trial, such as a `TrialRecord`; None, or empty, as long as it is not."""

    @property
    def num_parameters(self) -> int | None: ...

    @property
    def multiply_adds(self) -> int | None:
        """For one image."""

    @property
    def predicted_peak(self) -> int | None:
        """Bytes that training was predicted to need."""

    @property
    def epochs(self) -> Sequence[Epoch]: ...


class Objective(Protocol):
    """A module that is an objective. It imports nothing heavy."""

    TITLE: str
    """What people call it."""
    UNIT: str
    """Such as "ms"; "bytes" are shown as KiB, MiB and GiB, and what has none as 12.3k."""
    MAXIMIZE: bool
    """Whether more is better."""

    def of(self, trial: Facts) -> float | None:
        """Its value for a trial; None as long as it is not known."""
        ...


def costs() -> dict[str, Objective]:
    """All objectives of which less is better, by their names.

    Raises:
        BrokenFile: one of another distribution cannot be imported.
    """
    found: dict[str, Objective] = {name: OBJECTIVES.find(name) for name in OBJECTIVES.names()}
    return {name: objective for name, objective in found.items() if not objective.MAXIMIZE}
