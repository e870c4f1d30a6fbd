"""A folder that appears whole or not at all, and takes the place of nothing but an earlier export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.errors import StorageError

ARCHITECTURE = "architecture.json"
"""Names, under "files", everything that an export wrote: by it an earlier export is known."""


def check_replaceable(folder: Path) -> None:
    """Nothing may lie at `folder` but an empty folder, or an earlier export to which nobody added a file.

    Raises:
        StorageError: something else does.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StorageError(f"{folder} is a file. Choose a folder with --out.")
    present = {path.name for path in folder.iterdir()} - {"__pycache__"}
    written = _written(folder)
    if present and ARCHITECTURE not in written:
        raise StorageError(f"{folder} is no earlier export, so it is left alone. Choose another with --out.")
    if foreign := sorted(present - written):
        listing = ", ".join(foreign[:3]) + (" and others" if len(foreign) > 3 else "")
        raise StorageError(
            f"{folder} holds what no export wrote: {listing}. Move it away, or choose another with --out."
        )


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; when the block ends well, it takes the place of `folder`.

    A process that is killed leaves a temporary folder behind, and `folder` as it was; or, in the instant
    between two renamings, both the old and the new one whole in the temporary folder.

    Raises:
        OSError: the parent of `folder` cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # one level down, because a temporary folder itself is closed to others
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def _written(folder: Path) -> set[str]:
    """The files that an earlier export says it wrote into `folder`; none where there is no such export."""
    try:
        content = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        return set(content["files"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # somebody else's file of this name
        return set()
