"""Where trials leave what they need to go on: two files for each, the newest and the one before.

Named after the first of a chain of retries, so that the next one finds them.
"""

from collections.abc import Collection
from pathlib import Path


def checkpoint_path(study_folder: Path, origin: int) -> Path:
    """The newest checkpoint of the trial that began as number `origin`."""
    return study_folder / "checkpoints" / f"trial-{origin:05d}.pt"


def keep_only_checkpoints(study_folder: Path, origins: Collection[int]) -> None:
    """Remove the checkpoints of every other trial."""
    keep = {checkpoint_path(study_folder, origin).stem for origin in origins}
    for file in (study_folder / "checkpoints").glob("trial-*"):
        if file.name.split(".")[0] not in keep:
            file.unlink(missing_ok=True)


def remove_checkpoints(study_folder: Path, origin: int) -> None:
    """A trial has ended for good."""
    for file in (study_folder / "checkpoints").glob(f"{checkpoint_path(study_folder, origin).stem}.*"):
        file.unlink(missing_ok=True)
