"""Versions that explain a result, read without importing the packages."""

import platform
from importlib.metadata import version

import nas


def versions() -> dict[str, str]:
    """Of ourselves, Python, and the two packages that results depend on."""
    return {
        "nas": nas.__version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "optuna": version("optuna"),
    }
