"""Workers as persistent child processes of the driver on this machine.

Each is `python -m nas.engines.worker`: commands go in by its standard input, messages come out by its
standard output, and what it prints goes to a log file. It ends when its input does: none outlives its driver.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nas.engines.base import Post
from nas.engines.messages import Command, Died, Ended, Message, Setup, Stop, Task, decode, encode
from nas.machine import children
from nas.machine.cgroups import OomKills

KILLED = 9
"""SIGKILL, which Windows does not have."""

GRACE = 3.0
"""Seconds that workers get to end by themselves, and then to be gone once they are killed: those that wait
for a broken card or file server are not."""

KEEP_FREED_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**24),
    "MALLOC_MMAP_THRESHOLD_": str(2**24),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""For glibc: what one step frees is the memory of the next, instead of going back to the kernel page by page.
Blocks above 16 MiB do go back, but come in huge pages: no slower, and without them the heap would need up to
1.9 times the bytes of its tensors. A small convolutional network took a tenth less time for it."""


PROGRAM = (sys.executable, "-P", "-m", "nas.engines.worker")


class LocalEngine:
    """A process for each entry of `devices`, started with its first task, and again after it died."""

    def __init__(
        self, setup: Setup, devices: Sequence[str], log_folder: Path, program: Sequence[str] = PROGRAM
    ) -> None:
        """Args:
        program: command line of a worker, to which its index is added.
        """
        self._setup = setup
        self._program = tuple(program)
        self._devices = tuple(devices)
        self._log_folder = log_folder
        self._oom_kills = OomKills()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._slots: list[_Worker | None] = [None] * len(devices)

    def open(self) -> None:
        for device in dict.fromkeys(self._devices):
            first = self._devices.index(device)
            worker = self._slots[first]
            if worker is None or worker.dead:
                self._launch(first)

    def free_workers(self) -> dict[int, str]:
        return {
            slot: self._devices[slot]
            for slot, worker in enumerate(self._slots)
            if not worker or worker.trial is None
        }

    def start(self, worker: int, task: Task) -> None:
        process = self._slots[worker]
        if process is None or not process.take(task):
            self._launch(worker).take(task)

    def stop(self, number: int, *, keep: bool = False) -> None:
        for worker in self._workers:
            if worker.trial == number:
                worker.send(Stop(number=number, keep=keep))

    def kill(self, number: int, reason: str) -> None:
        for worker in self._workers:
            if worker.trial == number:
                worker.kill(reason)

    def retire(self, worker: int) -> None:
        process, self._slots[worker] = self._slots[worker], None
        if process:
            assert process.trial is None
            process.end_input()
            process.end(time.monotonic() + GRACE)
            process.wait(time.monotonic() + GRACE)

    def post(self, message: Message) -> None:
        self._inbox.put(message)

    def messages(self, timeout: float) -> list[Message]:
        received = []
        try:
            received.append(self._inbox.get(timeout=timeout))
            while True:
                received.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        for message in received:
            if isinstance(message, Ended | Died):
                for worker in self._workers:
                    if worker.trial is not None and worker.trial == message.number:
                        worker.trial = None
        return received

    def close(self) -> None:
        deadline = time.monotonic() + GRACE
        for worker in self._workers:
            worker.end_input()
        for worker in self._workers:
            worker.end(deadline)
        deadline = time.monotonic() + GRACE
        for worker in self._workers:
            worker.wait(deadline)

    @property
    def _workers(self) -> "list[_Worker]":
        return [worker for worker in self._slots if worker]

    def _launch(self, index: int) -> "_Worker":
        setup = replace(self._setup, device=self._devices[index])
        log = self._log_folder / f"worker-{index}.log"
        worker = _Worker(index, (*self._program, str(index)), setup, log, self.post, self._oom_kills)
        self._slots[index] = worker
        return worker


class _Worker:
    """One child process and the thread that reads it."""

    def __init__(
        self,
        index: int,
        command: Sequence[str],
        setup: Setup,
        log: Path,
        post: Post,
        oom_kills: OomKills,
    ) -> None:
        self.index = index
        self._oom_kills = oom_kills
        self.trial: int | None = None
        self.dead = False
        """Whether it can take no task any more."""
        self._log = log
        self._post = post
        self._closing = False
        self._killed_for = ""
        self._lock = threading.Lock()
        self._gone = threading.Event()
        with log.open("ab") as stream:  # what the dead one before has said stays readable
            self._log_start = stream.tell()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=_environment(setup.threads),
                start_new_session=True,  # Ctrl-C in the terminal is the driver's business
            )
        self.send(setup)
        threading.Thread(target=self._read, daemon=True).start()

    def take(self, task: Task) -> bool:
        """Give it a task; False when it is dead and nobody will answer for the task."""
        with self._lock:
            if self.dead:
                return False
            self.trial = task.number
        self.send(task)
        return True

    def send(self, command: Command) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # of a dead worker, which the reader notices
            self.process.stdin.write(encode(command))
            self.process.stdin.flush()

    def kill(self, reason: str = "") -> None:
        """End it at once. If it does not end even so, it counts as dead nevertheless."""
        self._killed_for = reason
        if not self._gone.is_set():
            with suppress(OSError):
                if hasattr(os, "wait4"):  # Popen.kill might reap it, and _reap must
                    os.kill(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()
            patience = threading.Timer(GRACE, self._say_died, (f"{reason}, and it cannot be killed",))
            patience.daemon = True
            patience.start()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self._closing = True
        with suppress(OSError):
            self.process.stdin.close()

    def end(self, deadline: float) -> None:
        """Kill it unless it ends by itself until then."""
        if not self.wait(deadline):
            self.kill()

    def wait(self, deadline: float) -> bool:
        """Whether it is gone by then."""
        return self._gone.wait(max(0.0, deadline - time.monotonic()))

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # half a line: it died while it spoke
            for line in self.process.stdout:
                if not self.dead:
                    self._post(decode(line))
        code, resident = self._reap()
        self._gone.set()
        reason, out_of_memory = self._killed_for or self._last_words(code), False
        if code == -KILLED:
            by_kernel = None if self._killed_for else self._oom_kills.one_more()
            out_of_memory = bool(by_kernel)
            if self._killed_for or by_kernel is not None:
                resident = 0  # it did not fail, somebody ended it: its size says nothing
            if out_of_memory:
                reason += "; the system had no memory left"
        self._say_died(reason, resident, out_of_memory=out_of_memory)

    def _say_died(self, reason: str, resident: int = 0, *, out_of_memory: bool = False) -> None:
        """Once; from now on, it can take no task."""
        with self._lock:
            said, self.dead = self.dead, True
        if not said and not self._closing:
            died = Died(
                worker=self.index,
                number=self.trial,
                reason=reason,
                resident=resident,
                out_of_memory=out_of_memory,
            )
            self._post(died)

    def _reap(self) -> tuple[int, int]:
        """Exit code, and the most resident bytes that the process has had; 0 where nobody knows."""
        if not hasattr(os, "wait4"):
            return self.process.wait(), 0
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        except ChildProcessError:  # whoever started us ignores the deaths of children
            return self.process.wait(), 0
        self.process.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
        return self.process.returncode, usage.ru_maxrss * unit

    def _last_words(self, code: int) -> str:
        """How the process ended, and the last line it printed."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = ""
        with suppress(OSError):
            text = self._log.read_bytes()[self._log_start :].decode(errors="replace").replace("\0", "")
            said = "".join(f": {line.strip()}" for line in text.strip().splitlines()[-1:])
        return f"worker {self.index} died by {how}{said} (see {self._log})"


def _environment(threads: int) -> dict[str, str]:
    """That of any child, with the thread count for libraries that read it at start."""
    return {
        **children.environment(),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # two spinning threads on busy cores took seven times the CPU seconds
        **KEEP_FREED_MEMORY,
    }
