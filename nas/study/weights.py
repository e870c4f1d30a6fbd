"""Weights of trials: one safetensors file each, of which only the best three stay."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import StudyError

if TYPE_CHECKING:
    from torch import nn

KEPT = 3


def weights_path(study_folder: Path, number: int) -> Path:
    """Where the weights of trial `number` are written and kept."""
    return study_folder / "weights" / f"trial-{number:05d}.safetensors"


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


def keep_only(study_folder: Path, numbers: Collection[int]) -> None:
    """Remove the weights of every other trial, and what a dead worker left half-written."""
    keep = {weights_path(study_folder, number).name for number in numbers}
    for file in (study_folder / "weights").glob("trial-*"):
        if file.name.removesuffix(".part") not in keep:
            file.unlink(missing_ok=True)
