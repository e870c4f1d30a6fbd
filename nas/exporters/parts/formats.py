"""From the name of a format to the module that writes it: a file of `nas/exporters/` is a format."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from nas.errors import UnknownName
from nas.exporters.parts.trained import TrainedModel

EXPORTERS = "nas.exporters"


class Exporter(Protocol):
    """A module of `nas/exporters/`."""

    def export(self, trained: TrainedModel, folder: Path) -> float:
        """Write the files of this format into `folder`, read them back, and compare.

        The model lies on the CPU, in evaluation mode, its weights float32 and contiguous.

        Returns:
            The largest absolute difference of a logit between the files' network and `trained.model`.

        Raises:
            NasError: the format cannot hold this network, or its files do not compute the same.
            OSError: the folder cannot be written.
        """
        ...


def known_exporters() -> list[str]:
    """The names of the formats, sorted."""
    package = importlib.import_module(EXPORTERS)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)


def load_exporter(name: str) -> Exporter:
    """Import a format.

    Raises:
        UnknownName: there is none of this name.
    """
    if name not in known_exporters():
        raise UnknownName("export format", name, known_exporters())
    return cast(Exporter, importlib.import_module(f"{EXPORTERS}.{name}"))
