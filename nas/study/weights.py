"""Weights of trials: one safetensors file each, of which only the best three stay."""

from collections.abc import Collection
from pathlib import Path

KEPT = 3


def weights_path(study_folder: Path, number: int) -> Path:
    """Where the weights of trial `number` are written and kept."""
    return study_folder / "weights" / f"trial-{number:05d}.safetensors"


def keep_only(study_folder: Path, numbers: Collection[int]) -> None:
    """Remove the weights of every other trial, and what a dead worker left half-written."""
    keep = {weights_path(study_folder, number).name for number in numbers}
    for file in (study_folder / "weights").glob("trial-*"):
        if file.name.removesuffix(".part") not in keep:
            file.unlink(missing_ok=True)
