"""An export folder, opened to be run: its checksums first, then one of its formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nas.errors import NasError, StorageError, UnknownName
from nas.exporters.parts.folder import ARCHITECTURE
from nas.exporters.parts.formats import first_line, load_exporter
from nas.exporters.parts.runtime import Runtime
from nas.exporters.parts.sums import check_sums

PREFERRED = ("onnx", "torch", "source", "int8")
"""The fastest to load and to run comes first, of those that lose nothing."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What lies in an export folder."""

    folder: Path
    formats: Mapping[str, tuple[str, ...]]
    """Those whose files are there, each with its files."""
    input_shape: tuple[int, int, int]
    """(channels, height, width)"""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an export. Files may have been taken away, as long as architecture.json is there.

        Raises:
            StorageError: it is no export, holds no format any more, or a file of it was changed.
        """
        present = check_sums(folder)
        if ARCHITECTURE not in present:
            raise StorageError(f"{folder} cannot be used without its {ARCHITECTURE}.")
        content = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        formats = {
            name: tuple(files) for name, files in content["formats"].items() if present.issuperset(files)
        }
        if not formats:
            raise StorageError(f"{folder} holds no exported format.")
        return cls(
            folder=folder,
            formats=formats,
            input_shape=tuple(content["input_shape"]),
            classes=tuple(content["classes"]),
            mean=tuple(content["mean"]),
            std=tuple(content["std"]),
        )

    def load(self, name: str | None, threads: int) -> tuple[str, Runtime]:
        """The format `name`, or the best one whose runtime is installed when it is None, ready to run.

        Raises:
            UnknownName: it is not in the folder.
            NasError: its runtime is missing, or refuses it.
        """
        if name is not None and name not in self.formats:
            raise UnknownName(f"format in {self.folder}", name, self.formats)
        ours = [each for each in PREFERRED if each in self.formats]
        theirs = [each for each in self.formats if each not in ours]
        missing = []
        for each in [name] if name else [*ours, *theirs]:
            try:
                return each, load_exporter(each).load(self.folder, threads)
            except NasError as error:
                missing.append(str(error))
            except Exception as error:  # whatever a runtime says
                files = ", ".join(self.formats[each])
                raise StorageError(f"{self.folder}: {files} cannot be loaded: {first_line(error)}") from error
        raise NasError(" ".join(dict.fromkeys(missing)))
