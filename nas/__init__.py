"""Neural architecture search for image classifiers.

import nas

study = nas.search(space="cnn_fc", data="digits", trials=20)
print(study.best.value, study.best.params)
model = study.best.load_model()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas.machine.moved import find_moved_modules

if TYPE_CHECKING:
    from nas.api.study import Study, load_study, search
    from nas.api.trial import Trial
    from nas.errors import NasError
    from nas.exporters.own_module import export
    from nas.network.inspection import inspect
    from nas.recipe import Recipe

__version__ = "0.1.0"

_HOMES = {
    "search": "nas.api.study",
    "load_study": "nas.api.study",
    "Study": "nas.api.study",
    "Trial": "nas.api.trial",
    "inspect": "nas.network.inspection",
    "export": "nas.exporters.own_module",
    "Recipe": "nas.recipe",
    "NasError": "nas.errors",
}

find_moved_modules()

__all__ = ["NasError", "Recipe", "Study", "Trial", "export", "inspect", "load_study", "search"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import nas` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
