"""On this machine, in worker processes."""

from collections.abc import Sequence
from pathlib import Path

from nas.engines.base import Engine
from nas.engines.local import LocalEngine
from nas.engines.messages import Setup
from nas.recipe import Recipe


def make(setup: Setup, devices: Sequence[str], folder: Path, recipe: Recipe) -> Engine:
    return LocalEngine(setup, devices, folder)
