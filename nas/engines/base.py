"""The seam between the driver and whatever runs its trials.

An engine is a file of `nas/engines/kinds/`, or a module that an entry point of the group `nas.engines` names.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from nas.engines.messages import Message, Setup, Task
from nas.machine.plugins import ENGINES
from nas.recipe import Recipe

HEAP_SLACK = 128 * 2**20
"""Bytes that a trial on a processor gets beyond its reservation: glibc's heap grows in steps, and holds what
libraries allocate for good when they first meet a layer, such as the code that oneDNN generates."""

HEAP_HOLES = 1 / 4
"""The part of a reservation that its heap may waste. With it, and the settings of the local engine,
14 networks of 43 to 407 MiB needed 64 MiB of slack."""


def cpu_limit(reservation: int) -> int:
    """Bytes that a process may take for a trial on a processor, beyond what it has."""
    return HEAP_SLACK + math.ceil(reservation * (1 + HEAP_HOLES))


class Engine(Protocol):
    """Runs tasks in workers and hands their messages back."""

    def open(self) -> None:
        """Start the first worker of every device, which measures what the driver must know of it."""
        ...

    def free_workers(self) -> dict[int, str]:
        """The workers that can take a task now, with the device that each trains on."""
        ...

    def start(self, worker: int, task: Task) -> None:
        """Give a free worker its task."""
        ...

    def stop(self, number: int, *, keep: bool = False) -> None:
        """Ask for the end of trial `number`; its worker answers `Ended` and is free again.

        Args:
            keep: leave a checkpoint to go on from.
        """
        ...

    def kill(self, number: int, reason: str) -> None:
        """End the worker that trains trial `number`; the engine says `Died` with the reason."""
        ...

    def retire(self, worker: int) -> None:
        """End an idle worker, so that its device gets back what the process holds."""
        ...

    def post(self, message: Message) -> None:
        """Put a message of this process beside those of the workers; from any thread."""
        ...

    def messages(self, timeout: float) -> list[Message]:
        """What was said since the last call, oldest first; waits up to `timeout` seconds for it."""
        ...

    def close(self) -> None:
        """End all workers, busy or not."""
        ...


Post = Callable[[Message], None]


class EngineModule(Protocol):
    """What a file holds."""

    def make(self, setup: Setup, devices: Sequence[str], folder: Path, recipe: Recipe) -> Engine:
        """An engine for one run; nothing is started before its `open`.

        Args:
            setup: what every worker needs before its first task.
            devices: of each worker, its device.
            folder: of the study; logs of workers lie there.
            recipe: every setting of the run, as resolved.
        """
        ...


def make_engine(setup: Setup, devices: Sequence[str], folder: Path, recipe: Recipe) -> Engine:
    """The engine that the recipe names.

    Raises:
        UnknownName: there is none of this name.
        BrokenFile: that of another distribution failed.
    """
    module: EngineModule = ENGINES.find(recipe.engine)
    with ENGINES.at_work(recipe.engine):
        return module.make(setup, devices, folder, recipe)
