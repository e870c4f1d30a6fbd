"""Who may use how much memory of which device: reservations under a budget, and who starts next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

OVERTAKEN = 4
"""So many trials may start before one that came earlier and does not fit yet; then all wait for it."""


class Sized(Protocol):
    """What waits to be placed."""

    overtaken: int
    """Trials that came later and started earlier."""

    @property
    def needed(self) -> int:
        """Bytes that its process takes at most."""
        ...


S = TypeVar("S", bound=Sized)


@dataclass
class _Slot:
    """What one worker holds."""

    device: str
    held: int = 0


class Ledger:
    """Reservations of workers on their devices. An idle worker holds what its process cannot give back."""

    def __init__(self, budgets: Mapping[str, int]) -> None:
        """Args:
        budgets: bytes by device.
        """
        self.budgets = dict(budgets)
        self._slots: dict[int, _Slot] = {}

    def used(self, device: str) -> int:
        """Bytes of a device that are reserved."""
        return sum(slot.held for slot in self._slots.values() if slot.device == device)

    def held(self, worker: int) -> int:
        """Bytes that a worker holds."""
        return self._slots[worker].held if worker in self._slots else 0

    def fits(self, worker: int, device: str, size: int) -> bool:
        """Whether a worker may hold `size` bytes beside what the others hold."""
        return self.used(device) - self.held(worker) + size <= self.budgets[device]

    def hold(self, worker: int, device: str, size: int) -> None:
        """From now on, a worker holds `size` bytes."""
        self._slots[worker] = _Slot(device, size)

    def forget(self, worker: int) -> None:
        """A worker's process is gone."""
        self._slots.pop(worker, None)

    def choose(
        self,
        waiting: Sequence[S],
        free: Mapping[int, str],
        size: Callable[[S, int], int] = lambda trial, worker: trial.needed,
    ) -> tuple[S, int] | None:
        """The first that fits, with the free worker to take it.

        Args:
            free: device by worker that has nothing to do.
            size: bytes that a worker holds with a trial.
        """
        for place, trial in enumerate(waiting):
            for worker, device in free.items():
                if self.fits(worker, device, size(trial, worker)):
                    for earlier in waiting[:place]:
                        earlier.overtaken += 1
                    return trial, worker
            if trial.overtaken >= OVERTAKEN:
                return None
        return None
