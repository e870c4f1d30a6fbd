"""SHA256SUMS: what an export wrote, byte for byte, in the format of `sha256sum -c`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from nas.errors import StorageError

SUMS = "SHA256SUMS"


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write SHA256SUMS over files of `folder`."""
    lines = (f"{_digest(folder / name)}  {name}\n" for name in sorted(names))
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> frozenset[str]:
    """The names of the files that lie in `folder` as an export wrote them; files may have been taken away.

    Raises:
        StorageError: it is no export, or a file was changed since.
    """
    if not folder.is_dir():
        raise StorageError(f"There is no folder {folder}. Make one with: nas export --out {folder}")
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        present = {name: _digest(folder / name) for name in sums if (folder / name).is_file()}
    except FileNotFoundError as error:
        raise StorageError(f"{folder} is no export: it has no {SUMS}.") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"The export {folder} cannot be read: {error}.") from error
    changed = sorted(name for name, digest in present.items() if digest != sums[name])
    if changed:
        raise StorageError(
            f"{folder}: {', '.join(changed)} changed since the export (by {SUMS}), so nothing of it is run."
            " Export it again."
        )
    return frozenset(present)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
