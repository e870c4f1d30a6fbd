"""Versions that explain a result, read without importing the packages."""

import platform
from importlib.metadata import version

from nas import __version__


def versions() -> dict[str, str]:
    """Of ourselves, Python, and the two packages that results depend on."""
    return {
        "nas": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "optuna": version("optuna"),
    }
