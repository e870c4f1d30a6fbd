"""Processes of `python -m nas…` without the start: forks of a server that has imported torch already.

To start Python with torch takes two CPU seconds and more, which was half of the suite's time. A fork takes
milliseconds and is otherwise what the program would have been: a child of the process that started it, with
its own memory, command line, environment, session and standard streams. Only what the C library reads at the
very start of a process, such as its MALLOC_ variables, comes too late, and a fork ends without the last rites
of the interpreter. Tests that need the real thing use the fixture `real_start`.

The server forks twice and its first child ends, so that the second is taken up by the process that asked,
which is a subreaper meanwhile. That exists on Linux; elsewhere every process starts as ever.
"""

import atexit
import ctypes
import gc
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

MODULES = (
    "nas.api.study",
    "nas.cli",
    "nas.driver.run",
    "nas.final",
    "nas.engines.worker",
    "nas.exporters",
    "nas.exporters.verify.measuring",
    "nas.views.terminal",
    "search_spaces",
    "alembic.command",
    "torch._dynamo",
    "torch._functorch.aot_autograd",
    "torch._inductor.utils",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.fx.experimental.symbolic_shapes",
    "torch.onnx",
    "torch.testing._internal.logging_tensor",
)
"""Imported by the server: with what they import, all that its forks would, sooner or later."""

PACKAGES = ("nas", "tests")
"""Whose modules run in forks."""

FLAGS = ("-B", "-P")
"""Of Python, which a fork can obey."""

BEYOND = ("executable", "shell", "preexec_fn", "pass_fds")
"""Arguments of Popen that it cannot."""

ROOM = 4096
"""Bytes for the command line of a fork, which is written over that of its server."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A fork has the thread that forks and none of the others."""

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""

Real = subprocess.Popen
_ARGUMENTS = tuple(inspect.signature(Real._execute_child).parameters)[1:]  # type: ignore[attr-defined]


class Server:
    """The process that forks, and its socket."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self._lock = threading.Lock()

    @classmethod
    def started(cls) -> "Server":
        """A new one, as a child of this process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = Real(
                [sys.executable, "-P", __file__, str(theirs.fileno()), " " * ROOM],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT), **ONE_THREAD},
            )
        process.returncode = 0  # nobody waits for it: it ends with the socket
        return cls(ours, process.pid)

    def fork(self, request: dict[str, Any], streams: Sequence[int]) -> int:
        """Process id of a new child of ours."""
        prctl = ctypes.CDLL(None).prctl
        with self._lock:
            prctl(SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._connection, [json.dumps(request).encode()], streams)
                return int(self._connection.recv(64))
            finally:
                prctl(SUBREAPER, 0, 0, 0, 0)

    def close(self) -> None:
        self._connection.close()
        os.waitpid(self._pid, 0)


_server: Server | None = None


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """Forks what is `python -m nas…`; starts everything else."""

    def _execute_child(self, *values: Any) -> None:
        asked = dict(zip(_ARGUMENTS, values, strict=True))
        if not _can_fork(asked):
            return super()._execute_child(*values)  # type: ignore[misc, no-any-return]
        environment = os.environ if asked["env"] is None else asked["env"]
        request = {
            "command": [os.fspath(each) for each in asked["args"]],
            "directory": os.path.abspath(asked["cwd"] or "."),
            "environment": {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            "new_session": asked["start_new_session"],
        }
        ends = (asked[name] for name in ("p2cread", "c2pwrite", "errwrite"))
        self.pid = running().fork(request, [own if end == -1 else end for own, end in enumerate(ends)])
        self._child_created = True
        self._close_pipe_fds(*(asked[n] for n in _ARGUMENTS if n[:3] in ("p2c", "c2p", "err")))  # type: ignore[attr-defined]
        return None


def _can_fork(asked: dict[str, Any]) -> bool:
    if not isinstance(asked["args"], list | tuple) or any(asked[name] for name in BEYOND):
        return False
    program, *rest = (os.fspath(each) for each in asked["args"])
    while rest and rest[0] in FLAGS:
        rest.pop(0)
    return (
        program == sys.executable
        and len(rest) > 1
        and rest[0] == "-m"
        and rest[1].partition(".")[0] in PACKAGES
    )


def running() -> Server:
    """The server of this process, started when it is needed first."""
    if _server is None:
        use(Server.started())
    assert _server
    return _server


def use(server: Server) -> None:
    global _server
    _server = server
    atexit.register(server.close)


def install() -> None:
    """From now on, this process forks what is `python -m nas…`; on Linux."""
    if sys.platform == "linux":
        subprocess.Popen = Popen  # type: ignore[misc]


# in the server ----------------------------------------------------------------------------------------------


def main(connection: socket.socket) -> None:
    """Serve; in a fork, be what was asked for. One that starts processes itself gets a server of its own."""
    for name in MODULES:
        import_module(name)
    install()
    installed = [path for path in sys.path if path != str(ROOT)]
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork has none of the other threads"
    gc.collect()
    gc.freeze()
    while True:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        *asked, writer = serve(connection)
        module, arguments = become(*asked, installed)
        os.close(writer)  # whoever asked goes on
        connection.close()
        if module != "nas":
            break
        ours, connection = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if pid := os.fork():
            connection.close()
            use(Server(ours, pid))
            break
        ours.close()
        for stream in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        show(["server"])
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        import_module("sitecustomize")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        leave(end.code)
    leave(None)


def leave(code: int | str | None) -> None:
    """As Python ends, but for its last look at every object of every module, half a CPU second of a fork."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def serve(connection: socket.socket) -> tuple[dict[str, Any], list[int], int]:
    """Fork until the other side is gone.

    Returns in each fork: what was asked, its streams, and a pipe to close as soon as it is ready.
    """
    while True:
        message, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
        if not message:
            os._exit(0)
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            parent = os.getpid()
            if pid := os.fork():
                os.write(writer, str(pid).encode())
                os._exit(0)
            os.close(reader)
            while os.getppid() == parent:  # which ends now
                time.sleep(0.0002)
            return json.loads(message), streams, writer
        for each in (writer, *streams):
            os.close(each)
        os.waitpid(between, 0)
        with open(reader, "rb") as pipe:
            connection.send(pipe.read())


def become(
    request: dict[str, Any], streams: Sequence[int], installed: Sequence[str]
) -> tuple[str, list[str]]:
    """Take what a process gets from its parent; the module to run, and its arguments."""
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
        os.close(stream)
    if request["new_session"]:
        os.setsid()
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    command = request["command"]
    show(command)
    at = command.index("-m")
    sys.orig_argv = command
    sys.dont_write_bytecode = "-B" in command[:at] or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    here = [] if "-P" in command[:at] else [os.getcwd()]
    sys.path[:] = [*here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *installed]
    invalidate_caches()
    open_streams(write_through=bool(os.environ.get("PYTHONUNBUFFERED")))
    numpy.random.seed()
    return command[at + 1], command[at + 2 :]


def show(command: Sequence[str]) -> None:
    """What `ps` sees."""
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(numbers[45]), int(numbers[46])  # arg_start and arg_end of proc(5)
    shown = b"".join(os.fsencode(each) + b"\0" for each in command)[: end - start]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def open_streams(write_through: bool) -> None:
    """Of Python, over those that have been put in the place of the server's."""
    sys.stdin = sys.__stdin__ = os.fdopen(0, "r", closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    errors = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.stderr = sys.__stderr__ = errors  # type: ignore[misc]
    if write_through:
        sys.stdout.reconfigure(write_through=True)


if __name__ == "__main__":
    import numpy

    main(socket.socket(fileno=int(sys.argv[1])))
