"""From the name of a format to the module that writes and reads it.

A file of `nas/exporters/formats/` is a format, and so is an entry point of another distribution in the group
`nas.exporters` that names such a module.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from nas.errors import NasError, first_line
from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel
from nas.machine.plugins import EXPORTERS

DEFAULT = ("source", "torch", "onnx", "int8")
"""Of these, an export that names no format writes what the packages at hand and the network allow."""


class Exporter(Protocol):
    """A module that is a format. It imports nothing heavy before it is called."""

    LOSSY: bool
    """Whether the value may fall by --max-drop; otherwise logits and predictions must be the network's."""

    HOLDS_CODE: bool
    """Whether loading its files can run code that lies in them: those of somebody else are loaded only when
    the user trusts them. Of a module that does not say, it is assumed."""

    def check(self) -> None:
        """Raise NasError where a package is missing that the format needs."""
        ...

    def export(self, trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
        """Write the files of this format into `folder`.

        The model lies on the CPU, in evaluation mode, its weights float32 and contiguous.

        Args:
            uint8: put the preprocessing into the file, where the format can.

        Raises:
            NasError: the format cannot hold this network.
            OSError: the folder cannot be written.
        """
        ...

    def load(self, folder: Path, threads: int) -> Runtime:
        """Open the files of this format in `folder`, to run with so many threads of the processor.

        Raises:
            NasError: a package is missing.
            Exception: the files are broken.
        """
        ...

    def usage(self, *, uint8: bool) -> str:
        """Python that loads the file and makes `logits` of `images`, in about three lines."""
        ...


def shipped_exporters() -> list[str]:
    """The names of our own formats, sorted."""
    return EXPORTERS.shipped()


def known_exporters() -> list[str]:
    """The names of all formats, sorted: our own and those of other distributions."""
    return EXPORTERS.names()


def load_exporter(name: str) -> Exporter:
    """Import a format.

    Raises:
        UnknownName: there is none of this name.
        BrokenFile: another distribution's fails.
    """
    return cast(Exporter, EXPORTERS.find(name))


def holds_code(name: str) -> bool:
    """Whether loading the files of this format can run code that lies in them, as far as is known."""
    try:
        return getattr(load_exporter(name), "HOLDS_CODE", True)
    except NasError:  # nobody provides it, or it is broken: whoever loads it is told
        return True


def need(extra: str, *packages: str) -> None:
    """Check that the packages of an extra are there.

    Raises:
        NasError: with the command that installs them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise NasError(f"{', '.join(missing)} not installed. Get it with: pip install 'optuna-nas[{extra}]'")


def cannot_hold(name: str, error: Exception) -> NasError:
    """What to raise where a network cannot be brought into a format."""
    return NasError(f"The format {name} cannot hold this network: {first_line(error)}")
