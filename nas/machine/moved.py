"""Modules that stand elsewhere now: files of others that name the old place go on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "nas.figures.parameters": "nas.views.figures.importance",
    "nas.figures.resources": "nas.views.figures.time_and_memory",
    "nas.figures": "nas.views.figures",
    "nas.study.samplers": "nas.samplers.base",
    "nas.datasets.digits": "nas.datasets.sources.digits",
    "nas.datasets.folder": "nas.datasets.sources.folder",
    "nas.datasets.npz": "nas.datasets.sources.npz",
    "nas.datasets.vision": "nas.datasets.sources.vision",
    "nas.exporters.parts.formats": "nas.exporters.registry",
    "nas.exporters.parts": "nas.exporters",
    "nas.final.statistics": "nas.final.scores",
    "nas.memory.autocast": "nas.memory.cuda_functions",
    "nas.memory.checkpointing": "nas.memory.activation_checkpoints",
    "nas.study.checkpoints": "nas.study.trial_files",
    "nas.study.weights": "nas.study.trial_files",
    "nas.training.live": "nas.training.live_bytes",
    "search_spaces.parts": "search_spaces.shared",
}
"""Names that a search space, an export format or a notebook of somebody's may import. Longer ones first."""

EMPTY = ("nas.exporters.parts",)
"""Packages that stay apart from their new place: there, the old name of a child means another one."""


def place_now(name: str) -> str | None:
    """Where a module stands that was called `name`; None if it has not moved."""
    for old, new in MOVED.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return None


class MovedModules(MetaPathFinder, Loader):
    """Finds a module by its old name: the very module that has the new one."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if place_now(name) else None

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in EMPTY:
            return
        place = place_now(module.__name__)
        assert place is not None
        sys.modules[module.__name__] = import_module(place)


def find_moved_modules() -> None:
    """From now on, in this process, old names are known."""
    sys.meta_path.insert(0, MovedModules())  # before files are looked for in the new place
