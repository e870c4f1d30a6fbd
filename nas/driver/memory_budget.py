"""What the driver knows of memory: the cap of a trial, the budget of each card, who holds what, and how
predictions have fared so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.driver.ledger import Ledger
from nas.driver.live_trial import LiveTrial
from nas.engines.base import cpu_limit
from nas.engines.messages import Died, Ready
from nas.machine.sizes import in_mib, whole_mib
from nas.memory.calibration import Calibration
from nas.study.records import comparable
from nas.training.epoch import Epoch

NEAR = 0.9
"""A worker that dies with so much of what it was allowed has died of it."""


@dataclass
class _Process:
    """A worker that has said `Ready`."""

    name: str
    """Of its device."""
    idle: int
    """Bytes of the device that it holds between trials."""
    resident: int
    """Bytes of the process before its first trial, and of the images that it will read."""
    new: int
    """Bytes of the process alone before its first trial, on a processor; 0 where nobody knows."""
    own: int
    """The same after the last one."""


class MemoryBudget:
    """One ledger per card, and one calibration per kind of card."""

    def __init__(
        self,
        cap: int,
        devices: Sequence[str],
        budgets: Mapping[str, int],
        calibrations: Mapping[str, Any],
    ) -> None:
        """Args:
        cap: bytes that one trial may use.
        devices: of each worker.
        budgets: bytes by device.
        calibrations: what the study has kept of `Calibration.to_json`, by the device's own name.
        """
        self.cap = cap
        self.workers = len(devices)
        self._devices = devices
        self._ledger = Ledger(budgets)
        self._calibrations = {name: Calibration.from_json(kept) for name, kept in calibrations.items()}
        self._constants: dict[str, int] | None = None
        self._processes: dict[int, _Process] = {}

    # what planning needs -----------------------------------------------------------------------------------

    @property
    def constants(self) -> dict[str, Any] | None:
        """Fields of `MemoryConstants`: the largest that workers measured; None before any has."""
        if self._constants is None:
            return None
        factors = [self._calibration(process.name).factor for process in self._processes.values()]
        return {**self._constants, "factor": max(factors, default=1.0)}

    def excess(self, needed: int | None) -> float:
        """Bytes needed over bytes allowed, less one; 0 where nothing is known."""
        return 0.0 if needed is None else needed / self.cap - 1

    # who holds what ----------------------------------------------------------------------------------------

    def ready(self, message: Ready) -> bool:
        """A worker stands. Returns whether it is the first, so that planning can begin."""
        first = self._constants is None
        before = self._constants or {}
        self._constants = {name: max(size, before.get(name, 0)) for name, size in message.constants.items()}
        device = self._devices[message.worker]
        own = message.own if device == "cpu" else 0
        idle = own or sum(message.constants.get(name, 0) for name in ("context", "workspace", "data"))
        self._processes[message.worker] = _Process(message.device, idle, message.resident, own, own)
        held = self._ledger.held(message.worker)  # more than idle, if it was started with a trial
        self._ledger.hold(message.worker, device, max(idle, held))
        return first

    def choose(self, waiting: Sequence[LiveTrial], free: Mapping[int, str]) -> tuple[LiveTrial, int] | None:
        """The next trial to start, with the free worker to take it; the worker holds its reservation then."""
        choice = self._ledger.choose(waiting, free, self._footprint)
        if choice is not None:
            trial, worker = choice
            self._ledger.hold(worker, free[worker], self._footprint(trial, worker))
        return choice

    def shortage(self, reservation: int) -> str | None:
        """What to do if a trial does not even fit a processor that is all its own; None if it does."""
        for device, budget in self._ledger.budgets.items():
            needed = self._process_on(device) + cpu_limit(reservation)
            if device == "cpu" and self._process_on(device) and needed > budget:
                return (
                    f"A trial of {in_mib(reservation)} may take {in_mib(needed)} with its process, all"
                    f" of {device} only {in_mib(budget)}. Go on with --device-memory {whole_mib(needed)} or"
                    " more."
                )
        return None

    def idle(self, free: Mapping[int, str]) -> list[int]:
        """Free workers whose processes hold memory that a waiting trial could use."""
        return [worker for worker in free if self._ledger.held(worker)]

    def free(self, worker: int, own: int = 0) -> None:
        """A worker has ended its trial.

        Args:
            own: bytes of its process now, which can grow by what libraries keep; 0 where nobody knows.
        """
        process = self._processes.get(worker)
        if process and process.own and own:
            process.idle = process.own = own
        self._ledger.hold(worker, self._devices[worker], process.idle if process else 0)

    def forget(self, worker: int) -> None:
        """A worker's process is gone."""
        if process := self._processes.get(worker):
            process.own = process.new  # of the next one
        self._ledger.forget(worker)

    # what was measured -------------------------------------------------------------------------------------

    def learn(self, trial: LiveTrial, epoch: Epoch) -> tuple[str, dict[str, Any]] | None:
        """Compare the memory of a trial's first epoch with its prediction.

        Returns the device's name and its calibration for the study to keep.
        """
        measured = epoch.peak_reserved or epoch.peak_allocated
        if trial.measured or not measured or trial.plan is None or not trial.plan.parts:
            return None
        if (name := self._name(trial)) is None:
            return None
        trial.measured = True
        parts, reserved = trial.plan.parts, bool(epoch.peak_reserved)
        # segments hold what was there before too, which was measured
        known = parts.get("data", 0) + parts.get("workspace", 0) if reserved else 0
        calibration = self._calibration(name)
        calibration.add(comparable(parts, reserved=reserved) - known, measured - known)
        return name, calibration.to_json()

    def out_of_memory(self, trial: LiveTrial) -> tuple[str, dict[str, Any]] | None:
        """A trial needed more than its reservation. Returns as `learn`."""
        assert trial.plan is not None
        if (name := self._name(trial)) is None or not trial.plan.parts:
            return None
        calibration = self._calibration(name)
        calibration.out_of_memory()
        return name, calibration.to_json()

    def died_of_memory(self, trial: LiveTrial, death: Died) -> bool:
        """Whether a worker died of its trial's memory: near its limit, or by the kernel for lack of any.

        A process on the CPU is all in one memory; that of a card is another.
        """
        if trial.worker is None or trial.plan is None:
            return False
        if self._devices[trial.worker] != "cpu":
            return False
        if death.out_of_memory:
            return True
        process = self._processes.get(trial.worker)
        if process is None or not process.resident:
            return False
        return death.resident - process.resident >= NEAR * cpu_limit(trial.plan.predicted)

    def _footprint(self, trial: LiveTrial, worker: int) -> int:
        """Bytes that a worker holds with a trial: on a processor its process, and all that a limit allows."""
        process, device = self._processes.get(worker), self._devices[worker]
        own = process.own if process else self._process_on(device)
        return own + cpu_limit(trial.needed) if own else trial.needed

    def _process_on(self, device: str) -> int:
        """Bytes of a new process, by those that have started; 0 where nobody knows, and on a card."""
        sizes = (self._processes[worker].new for worker in self._processes if self._devices[worker] == device)
        return max(sizes, default=0)

    def _name(self, trial: LiveTrial) -> str | None:
        process = self._processes.get(trial.worker) if trial.worker is not None else None
        return process.name if process else None

    def _calibration(self, name: str) -> Calibration:
        if name not in self._calibrations:
            self._calibrations[name] = Calibration.for_device(name)
        return self._calibrations[name]
