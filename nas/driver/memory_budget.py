"""What the driver knows of memory: the cap of a trial, the budget of each device, which worker holds what,
who starts next, and how predictions have fared so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nas.driver.live_trial import LiveTrial
from nas.engines.base import cpu_limit
from nas.engines.messages import Died, Ready
from nas.machine.sizes import in_mib, whole_mib
from nas.memory.calibration import Calibration
from nas.memory.prediction import MemoryConstants
from nas.study.records import comparable
from nas.training.epoch import Epoch

NEAR = 0.9
"""A worker that dies with so much of what it was allowed has died of it."""

OVERTAKEN = 4
"""So many trials may start before one that came earlier and does not fit yet; then all wait for it."""


@dataclass
class _Process:
    """A worker that has said `Ready`."""

    name: str
    """Name of the worker's device."""
    idle: int
    """Bytes of the device that it holds between trials."""
    resident: int
    """Bytes of the process before its first trial, and of the images that it will read."""
    new: int
    """Bytes of the process alone before its first trial, on a processor; 0 where nobody knows."""
    own: int
    """Bytes of the process alone after its last trial; as `new` before any."""


class MemoryBudget:
    """Reservations of workers on their devices, and one calibration for each kind of device.

    An idle worker holds what its process cannot give back.
    """

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
        self._budgets = dict(budgets)
        self._held: dict[int, int] = {}
        """Bytes, by worker."""
        self._calibrations = {name: Calibration.from_json(kept) for name, kept in calibrations.items()}
        self._constants: MemoryConstants | None = None
        self._processes: dict[int, _Process] = {}

    # what planning needs -----------------------------------------------------------------------------------

    @property
    def constants(self) -> MemoryConstants | None:
        """The largest that workers measured; None before any has."""
        if self._constants is None:
            return None
        factors = [self._calibration(process.name).factor for process in self._processes.values()]
        return replace(self._constants, factor=max(factors, default=1.0))

    # who holds what ----------------------------------------------------------------------------------------

    def ready(self, message: Ready) -> bool:
        """A worker stands. Returns whether it is the first, so that planning can begin."""
        first, constants = self._constants is None, message.constants
        self._constants = constants.at_least(self._constants or constants)
        device = self._devices[message.worker]
        own = message.own if device == "cpu" else 0
        idle = own or constants.context + sum(constants.resident)
        self._processes[message.worker] = _Process(message.device, idle, message.resident, own, own)
        # it holds more than idle, if it was started with a trial
        self._held[message.worker] = max(idle, self.held(message.worker))
        return first

    def held(self, worker: int) -> int:
        """Bytes that a worker holds."""
        return self._held.get(worker, 0)

    def used(self, device: str) -> int:
        """Bytes of a device that its workers hold."""
        return sum(size for worker, size in self._held.items() if self._devices[worker] == device)

    def choose(self, waiting: Sequence[LiveTrial], free: Mapping[int, str]) -> tuple[LiveTrial, int] | None:
        """The first trial that fits, with the free worker to take it; the worker holds its reservation then.

        Args:
            waiting: in the order in which they came.
            free: device by worker that has nothing to do.
        """
        for place, trial in enumerate(waiting):
            for worker, device in free.items():
                size = self._footprint(trial, worker)
                if self.used(device) - self.held(worker) + size <= self._budgets[device]:
                    for earlier in waiting[:place]:
                        earlier.overtaken += 1
                    self._held[worker] = size
                    return trial, worker
            if trial.overtaken >= OVERTAKEN:
                return None
        return None

    def shortage(self, reservation: int) -> str | None:
        """What to do if a trial does not even fit a processor that is all its own; None if it does."""
        for device, budget in self._budgets.items():
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
        return [worker for worker in free if self.held(worker)]

    def free(self, worker: int, own: int = 0, context: int = 0) -> None:
        """A worker has ended its trial.

        Args:
            own: bytes of its process now, which can grow by what libraries keep; 0 where nobody knows.
            context: bytes of its process on a card, likewise; later trials are planned with the most so far.
        """
        process = self._processes.get(worker)
        if process and context and self._constants:
            largest = max(context, self._constants.context)
            self._constants = replace(self._constants, context=largest)
            process.idle = max(process.idle, context + sum(self._constants.resident))
        if process and process.own and own:
            process.idle = process.own = own
        self._held[worker] = process.idle if process else 0

    def forget(self, worker: int) -> None:
        """A worker's process is gone."""
        if process := self._processes.get(worker):
            process.own = process.new  # of the next one
        self._held.pop(worker, None)

    # what was measured -------------------------------------------------------------------------------------

    def learn(self, trial: LiveTrial, epoch: Epoch) -> tuple[str, dict[str, Any]] | None:
        """Compare the memory of a trial's first epoch with its prediction.

        Returns the device's name and its calibration for the study to keep.
        """
        measured = epoch.peak_reserved or epoch.peak_allocated
        if trial.measured or not measured or trial.plan is None or trial.plan.memory is None:
            return None
        if (name := self._name(trial)) is None:
            return None
        trial.measured = True
        memory, reserved = trial.plan.memory, bool(epoch.peak_reserved)
        # segments hold what was there before too, which was measured
        known = memory.data + memory.workspace if reserved else 0
        calibration = self._calibration(name)
        calibration.add(comparable(memory.parts, reserved=reserved) - known, measured - known)
        return name, calibration.to_json()

    def out_of_memory(self, trial: LiveTrial) -> tuple[str, dict[str, Any]] | None:
        """A trial needed more than its reservation. Returns as `learn`."""
        assert trial.plan is not None
        if (name := self._name(trial)) is None or trial.plan.memory is None:
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
        return death.resident - process.resident >= NEAR * cpu_limit(trial.reservation)

    def _footprint(self, trial: LiveTrial, worker: int) -> int:
        """Bytes that a worker holds with a trial: on a processor its process, and all that a limit allows."""
        process, device = self._processes.get(worker), self._devices[worker]
        own = process.own if process else self._process_on(device)
        return own + cpu_limit(trial.reservation) if own else trial.reservation

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
