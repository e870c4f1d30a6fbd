"""The seam of pruners, who end trials early.

A pruner is a file of this room, or a module that an entry point of the group `nas.pruners` names.
"""

from __future__ import annotations

from typing import Protocol

from nas.machine.plugins import PRUNERS
from nas.study.reader import StudyReader

AUTO = "auto"
"""What `resolve_pruner` decides."""

NONE = "none"
"""The one that ends nobody."""


class Pruner(Protocol):
    """Decides about the trials of one run. It is all that the driver asks."""

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        """Why trial `number` should end now, in a few words; None if it should go on.

        Asked when an epoch has been stored, or a report within the first, in their order: not about the last
        epoch of a trial, nor about what a trial repeats after its worker died.

        Args:
            images_seen: training images that the trial has seen so far, each as often as it was seen. Within
                the first epoch of many images they are fewer than one epoch has: `nas.training.partial`.
            value: the study's metric on the validation images after them, in [0, 1]; more is better. Within
                an epoch it is that of a part of these images.
        """
        ...


class PrunerModule(Protocol):
    """What a file holds."""

    def make(self, study: StudyReader) -> Pruner:
        """A pruner for one run of a study: its settings are `study.recipe`, its curves `study.trials()`."""
        ...


def resolve_pruner(name: str) -> str:
    """What `auto` means: the rule that lost least when recorded curves were replayed."""
    return "standard_error" if name == AUTO else name


def make_pruner(study: StudyReader) -> Pruner:
    """The pruner that the recipe of a study names, for one run of it.

    Raises:
        UnknownName: there is none of this name.
        BrokenFile: that of another distribution failed; `stop` may raise it too.
    """
    return _Named(study)


class _Named:
    """A pruner whose errors are shown with its name and line, if it is none of ours."""

    def __init__(self, study: StudyReader) -> None:
        self._name = study.recipe.pruner
        module: PrunerModule = PRUNERS.find(self._name)
        with PRUNERS.at_work(self._name):
            self._pruner = module.make(study)

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        with PRUNERS.at_work(self._name):
            return self._pruner.stop(number, images_seen, value)
