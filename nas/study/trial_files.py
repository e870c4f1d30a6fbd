"""What trials leave in their study's folder: weights, and the checkpoints that they go on from.

Weights are one safetensors file a trial, of which only the best three stay. A checkpoint is two files, the
newest and the one before, named after the first of a chain of retries, so that the next one finds them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nas.errors import StudyError

if TYPE_CHECKING:
    from torch import nn

KEPT = 3
"""Completed trials whose weights stay."""


def weights_path(study_folder: Path, number: int) -> Path:
    """Where the weights of trial `number` are written and kept."""
    return study_folder / "weights" / f"{_stem(number)}.safetensors"


def checkpoint_path(study_folder: Path, origin: int) -> Path:
    """The newest checkpoint of the trial that began as number `origin`."""
    return study_folder / "checkpoints" / f"{_stem(origin)}.pt"


def keep_only(kind: Literal["weights", "checkpoints"], study_folder: Path, numbers: Collection[int]) -> None:
    """Remove the weights or checkpoints of every other trial, and what a dead worker left half-written."""
    keep = set(map(_stem, numbers))
    for file in (study_folder / kind).glob("trial-*"):
        if file.name.split(".")[0] not in keep:
            file.unlink(missing_ok=True)


def remove_checkpoints(study_folder: Path, origin: int) -> None:
    """A trial has ended for good."""
    for file in (study_folder / "checkpoints").glob(f"{_stem(origin)}.*"):
        file.unlink(missing_ok=True)


def load_weights(model: nn.Module, file: Path) -> None:
    """Give a network the weights in `file`, which cannot hold code.

    Raises:
        StudyError: it holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, OSError, RuntimeError) as error:  # the last: tensors of another network
        reason = " ".join(str(error).split())[:200]
        raise StudyError(
            f"{file} does not hold the weights of this network: {reason}. It holds something else, or"
            " the code of the search space has changed since."
        ) from error


def _stem(number: int) -> str:
    return f"trial-{number:05d}"
