"""A report as a file: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import StorageError
from nas.machine.files import expanded, written_whole
from nas.views.report.page import render

if TYPE_CHECKING:
    from nas.views.shown import Study


def write_report(study: Study, file: Path | str) -> Path:
    """Write the report of a study to `file`, replacing one that is there, and return its path.

    Raises:
        StorageError: `file` is no file, or its folder cannot be written.
    """
    target = expanded(file).resolve()
    if target.exists() and not target.is_file():
        raise StorageError(f"{file} exists and is no file. Choose another with -o.")
    if not os.access(target.parent, os.W_OK):
        why = "cannot be written" if target.parent.is_dir() else "does not exist"
        raise StorageError(f"The folder {target.parent} {why}. Choose another file with -o.")
    page = render(study).encode("utf-8", "backslashreplace")  # of names that are no text
    try:
        with written_whole(target) as stream:
            stream.write(page)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}. Choose another with -o.") from error
    return target
