"""The seam between the driver and whatever runs its trials."""

from typing import Protocol

from nas.engines.messages import Message, Task


class Engine(Protocol):
    """Runs tasks in workers and hands their messages back."""

    def free_worker(self) -> int | None:
        """A worker that can take a task now, or None when all are busy."""
        ...

    def start(self, worker: int, task: Task) -> None:
        """Give a free worker its task."""
        ...

    def stop(self, number: int) -> None:
        """Ask for the end of trial `number`; its worker answers `Ended` and is free again."""
        ...

    def messages(self, timeout: float) -> list[Message]:
        """What workers said since the last call, oldest first; waits up to `timeout` seconds for it."""
        ...

    def close(self) -> None:
        """End all workers, busy or not."""
        ...
