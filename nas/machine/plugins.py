"""What others may add, and how it is found: one file of a package of ours, or an entry point of another
distribution. There is no list to edit.

Files whose names begin with an underscore, and `base`, are helpers. Ours come first: nobody replaces them.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from nas.errors import BrokenFile, NasError, UnknownName, first_line

MACHINERY = (str(Path(importlib.__file__).parent), "<frozen ", __file__)
"""Places of lines that are nobody's fault."""


@dataclass(frozen=True)
class Plugins:
    """All plug-ins of one kind."""

    kind: str
    """In a message, such as "export format"."""
    package: str
    """Whose files are plug-ins."""
    group: str | None
    """Of entry points of other distributions that name such a module; None where they can add none."""
    holds: tuple[str, ...] = ("make",)
    """What each of them must have."""

    def shipped(self) -> list[str]:
        """Those that are files of the package, sorted. None of them is imported."""
        found = pkgutil.iter_modules(importlib.import_module(self.package).__path__)
        return sorted(
            module.name
            for module in found
            if not module.ispkg and module.name != "base" and not module.name.startswith("_")
        )

    def of_others(self) -> list[str]:
        """Those of other distributions, sorted, without a look at whether they can be imported."""
        points = entry_points(group=self.group) if self.group else ()
        return sorted({point.name for point in points} - {*self.shipped()})

    def names(self) -> list[str]:
        """All, sorted."""
        return sorted([*self.shipped(), *self.of_others()])

    def find(self, name: str, hint: str = "") -> Any:
        """The plug-in: a module, or what an entry point names.

        Args:
            hint: what else to do about an unknown name.

        Raises:
            UnknownName: nobody provides it.
            BrokenFile: that of another distribution cannot be imported, or lacks something.
        """
        if name in self.shipped():
            return importlib.import_module(f"{self.package}.{name}")
        point = self._point(name)
        if point is None:
            raise UnknownName(self.kind, name, self.names(), hint)
        with self.at_work(name):
            found = point.load()
        for each in self.holds:
            if not hasattr(found, each):
                raise self.broken(name, f"it has no {each}")
        return found

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """Whatever the code of another distribution raises in the block is shown with its line.

        Raises:
            BrokenFile: it raised what is no NasError.
        """
        try:
            yield
        except (KeyboardInterrupt, NasError):
            raise
        except BaseException as error:  # SystemExit too, which would end us without a word
            if name in self.shipped():
                raise
            raise self.broken(name, f"{first_line(error)}{_line_of(error)}") from error

    def broken(self, name: str, why: str) -> BrokenFile:
        """What to raise where a plug-in does not do what it must."""
        point = self._point(name)
        return BrokenFile(f"{self.kind[0].upper()}{self.kind[1:]} {name!r} ({point and point.value}): {why}")

    def _point(self, name: str) -> EntryPoint | None:
        return next(iter(entry_points(group=self.group, name=name)), None) if self.group else None


def _line_of(error: BaseException) -> str:
    """The deepest line that is not of the import system, as the end of a sentence."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(MACHINERY)]
    return f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""


SPACES = Plugins("search space", "search_spaces", "nas.search_spaces", holds=())
BASELINES = Plugins("baseline", "search_spaces.baselines", None)
DATASETS = Plugins("dataset", "nas.datasets.sources", "nas.datasets", holds=())
SAMPLERS = Plugins("sampler", "nas.samplers", "nas.samplers")
PRUNERS = Plugins("pruner", "nas.pruners", "nas.pruners")
METRICS = Plugins("metric", "nas.metrics", "nas.metrics", holds=("TITLE", "SHORT", "of", "interval"))
OBJECTIVES = Plugins(
    "objective", "nas.objectives", "nas.objectives", holds=("TITLE", "UNIT", "MAXIMIZE", "of")
)
ENGINES = Plugins("engine", "nas.engines.kinds", "nas.engines")
LOGGERS = Plugins("logger", "nas.loggers", "nas.loggers")
EXPORTERS = Plugins(
    "export format",
    "nas.exporters.formats",
    "nas.exporters",
    holds=("LOSSY", "check", "export", "load", "usage"),
)
