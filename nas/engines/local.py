"""Workers as persistent child processes of the driver on this machine.

Each is `python -m nas.engines.worker`: commands go in by its standard input, messages come out by its
standard output, and what it prints goes to a log file. It ends when its input does: none outlives its driver.
"""

import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import nas
from nas.engines.messages import Command, Died, Ended, Message, Setup, Stop, Task, decode, encode

GRACE = 5.0
"""Seconds that a worker gets to end by itself."""


KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""For glibc: what one step frees is the memory of the next, instead of going back to the kernel page by page.
A small convolutional network then took 63 page faults instead of 244,000, and a tenth less time."""


class LocalEngine:
    """Up to `workers` processes; each is started with its first task, and again after it died."""

    def __init__(self, setup: Setup, workers: int, log_folder: Path) -> None:
        self._setup = setup
        self._log_folder = log_folder
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._slots: list[_Worker | None] = [None] * workers

    def free_worker(self) -> int | None:
        return next(
            (slot for slot, worker in enumerate(self._slots) if not worker or worker.trial is None), None
        )

    def start(self, worker: int, task: Task) -> None:
        process = self._slots[worker]
        if process is None or not process.take(task):
            log = self._log_folder / f"worker-{worker}.log"
            self._slots[worker] = process = _Worker(worker, self._setup, log, self._inbox)
            process.take(task)

    def stop(self, number: int) -> None:
        for worker in self._workers:
            if worker.trial == number:
                worker.send(Stop(number=number))

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
        for worker in self._workers:
            worker.end_input()
        for worker in self._workers:
            worker.end()

    @property
    def _workers(self) -> "list[_Worker]":
        return [worker for worker in self._slots if worker]


class _Worker:
    """One child process and the thread that reads it."""

    def __init__(self, index: int, setup: Setup, log: Path, inbox: "queue.SimpleQueue[Message]") -> None:
        self.index = index
        self.trial: int | None = None
        self._log = log
        self._inbox = inbox
        self._closing = False
        self._dead = False
        self._lock = threading.Lock()
        with log.open("ab") as stream:  # what the dead one before has said stays readable
            self._log_start = stream.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nas.engines.worker", str(index)],
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
            if self._dead:
                return False
            self.trial = task.number
        self.send(task)
        return True

    def send(self, command: Command) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # of a dead worker, which the reader notices
            self.process.stdin.write(encode(command))
            self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self._closing = True
        with suppress(OSError):
            self.process.stdin.close()

    def end(self) -> None:
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # half a line: it died while it spoke
            for line in self.process.stdout:
                self._inbox.put(decode(line))
        code = self.process.wait()
        with self._lock:
            self._dead = True
        if not self._closing:
            self._inbox.put(Died(worker=self.index, number=self.trial, reason=self._last_words(code)))

    def _last_words(self, code: int) -> str:
        """How the process ended, and the last line it printed."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = ""
        with suppress(OSError):
            text = self._log.read_bytes()[self._log_start :].decode(errors="replace").replace("\0", "")
            said = "".join(f": {line.strip()}" for line in text.strip().splitlines()[-1:])
        return f"worker {self.index} died by {how}{said} (see {self._log})"


def _environment(threads: int) -> dict[str, str]:
    """Ours, with the thread count for libraries that read it at start, and with our packages in reach."""
    root = str(Path(nas.__file__).parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # two spinning threads on busy cores took seven times the CPU seconds
        **KEEP_FREED_MEMORY,
    }
