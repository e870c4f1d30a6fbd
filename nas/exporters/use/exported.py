"""An export folder, opened to be run or timed: its checksums first, whose it is, then one of its formats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nas.errors import NasError, StorageError, UnknownName, first_line
from nas.exporters.folder import ARCHITECTURE, restore
from nas.exporters.provenance import is_own
from nas.exporters.registry import holds_code, load_exporter
from nas.exporters.runtime import Runtime
from nas.exporters.sha256sums import check_sums, read_small
from nas.exporters.verify.measuring import Request, check

PREFERRED = ("onnx", "torch", "source", "int8")
"""The fastest to load and to run comes first, of those that lose nothing."""

LARGEST_IMAGE = 2**26
"""Values of one image: 3 x 4,729 x 4,729."""


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
    bits: int
    """Of a value of the images: 8 or 16."""
    native: bool
    """Whether images are read in all their depth."""
    trusted: bool
    """Whether formats that can hold code may be run."""

    @classmethod
    def open(cls, folder: Path, *, trust: bool = False) -> Self:
        """Open an export. Files may have been taken away, as long as architecture.json is there.

        Args:
            trust: also run files that can hold code, though this user did not export them on this machine.

        Raises:
            StorageError: it is no export, holds no format any more, or a file of it was changed.
        """
        with suppress(OSError):  # what cannot be mended is missing, which is said next
            restore(folder)
        present = check_sums(folder)
        if ARCHITECTURE not in present:
            raise StorageError(f"{folder} cannot be used without its {ARCHITECTURE}.")
        try:
            content = json.loads(read_small(folder / ARCHITECTURE))
            trusted = trust or is_own(folder)
        except (OSError, ValueError, RecursionError) as error:
            raise StorageError(f"{folder}: {ARCHITECTURE} cannot be read: {first_line(error)}.") from error
        try:
            facts = _facts(content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else first_line(error)
            raise StorageError(f"{folder}: {ARCHITECTURE} describes no network: {reason}.") from error
        formats = {name: files for name, files in facts.pop("formats").items() if present.issuperset(files)}
        if not formats:
            raise StorageError(f"{folder} holds no exported format.")
        return cls(folder=folder, formats=formats, trusted=trusted, **facts)

    @property
    def withheld(self) -> tuple[str, ...]:
        """Formats that are not run, because they can hold code and nobody trusts the folder."""
        return () if self.trusted else tuple(name for name in self.formats if holds_code(name))

    def refusal(self) -> str:
        """Why they are not run, and what to do."""
        one = len(self.withheld) == 1
        return (
            f"The format{'' if one else 's'} {' and '.join(self.withheld)} can hold code, and {self.folder}"
            " was not exported by you on this machine. If you trust whoever made it, add --trust."
        )

    def load(self, name: str | None, threads: int) -> tuple[str, Runtime]:
        """The format `name`, or the best one whose runtime is installed when it is None, ready to run.

        Raises:
            UnknownName: it is not in the folder.
            StorageError: it can hold code, and the folder is not trusted.
            NasError: its runtime is missing, or refuses it.
        """
        if name is not None and name not in self.formats:
            raise UnknownName(f"format in {self.folder}", name, self.formats)
        ours = [each for each in PREFERRED if each in self.formats]
        theirs = [each for each in self.formats if each not in ours]
        missing = []
        for each in [name] if name else [*ours, *theirs]:
            if each in self.withheld:
                missing.append(self.refusal())
                continue
            try:
                return each, load_exporter(each).load(self.folder, threads)
            except NasError as error:
                missing.append(str(error))
            except (Exception, SystemExit) as error:  # whatever a runtime says, or the code in a file
                files = ", ".join(self.formats[each])
                raise StorageError(f"{self.folder}: {files} cannot be loaded: {first_line(error)}") from error
        raise NasError(" ".join(dict.fromkeys(missing)))

    def latencies(self, name: str, batch_sizes: Sequence[int], threads: int) -> dict[int, float]:
        """Median seconds of one run of a format, by batch size, measured in a fresh process on random images.

        Raises:
            NasError: its runtime is missing, or the files do not run.
        """
        request = Request(
            format=name,
            folder=str(self.folder),
            shape=self.input_shape,
            mean=self.mean,
            std=self.std,
            bits=self.bits,
            threads=threads,
            timed=tuple(batch_sizes),
        )
        return check(request).latency


def _facts(content: Any) -> dict[str, Any]:
    """What a description of any origin says, by the fields of `Exported`.

    Raises:
        KeyError: something is missing.
        TypeError, ValueError, OverflowError: something is of another type or size.
    """
    if not isinstance(content, dict):
        raise TypeError("it holds no names")
    shape = _several("input_shape", content["input_shape"], int)
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > LARGEST_IMAGE:
        raise ValueError(f"input_shape must be channels, height and width, at most {LARGEST_IMAGE:,} values")
    numbers = {name: _several(name, content[name], int, float) for name in ("mean", "std")}
    for name, values in numbers.items():
        if len(values) != shape[0] or not all(abs(value) < 1e9 for value in values):  # nor is NaN
            raise ValueError(f"{name} must have a number for each channel")
    if any(abs(value) < 1e-9 for value in numbers["std"]):
        raise ValueError("std must not be 0")
    bits, native = content.get("bits", 8), content.get("native", False)  # older exports have neither
    if type(bits) is not int or bits not in (8, 16) or not isinstance(native, bool):
        raise ValueError("bits must be 8 or 16, and native true or false")
    classes = _several("classes", content["classes"], str)
    if not classes or len(set(classes)) < len(classes):
        raise ValueError("it must name classes, none of them twice")
    if not isinstance(content["formats"], dict):
        raise TypeError("formats must have names")
    formats = {name: _several("formats", files, str) for name, files in content["formats"].items()}
    known = {"input_shape": shape, "classes": classes, "formats": formats, **numbers}
    return known | {"bits": bits, "native": native}


def _several(name: str, values: object, *kinds: type) -> tuple[Any, ...]:
    # True is an int to isinstance
    if not isinstance(values, list) or not all(type(value) in kinds for value in values):
        raise TypeError(f"{name} must be a list of {kinds[-1].__name__}")
    return tuple(values)
