"""What views need of a study and its trials: `nas.api` has them, which stands above."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nas.space import DataInfo
from nas.study.reader import StudyReader
from nas.study.records import Recall, TrialRecord

if TYPE_CHECKING:
    from nas.network.layers import LayerTable


class Trial(Protocol):
    """A trial as `nas.api.Trial` tells of it."""

    number: int
    value: float | None
    record: TrialRecord

    @property
    def data(self) -> DataInfo:
        """What a search space may know of the study's data."""
        ...

    @property
    def headline(self) -> str:
        """What it is and how good."""
        ...

    @property
    def weights(self) -> Path | None:
        """The file of its weights, if it kept them."""
        ...

    @property
    def recalls(self) -> Sequence[Recall]:
        """By class, how its validation images were classified; empty where that is not known."""
        ...

    def layers(self) -> LayerTable:
        """Its network, layer by layer."""
        ...


class Final(Trial, Protocol):
    """A final model as `nas.api.Final` tells of it."""

    result: dict[str, Any]
    test_accuracy: float
    test_value: float
    interval: tuple[float, float]
    openings: int


class Study(Protocol):
    """A study as `nas.api.Study` tells of it."""

    name: str
    store: StudyReader

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial, in the order of their numbers."""
        ...

    def final_of(self, records: Sequence[TrialRecord]) -> Final | None:
        """The final model, if there is one, where all trials have just been read."""
        ...

    def compared(self, records: Sequence[TrialRecord]) -> Iterator[dict[str, Any]]:
        """What the best of all `records` is compared with."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What `nas show --json` prints."""
        ...
