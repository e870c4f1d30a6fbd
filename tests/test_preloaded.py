"""A fork of the server is what the process would have been, had it been started."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests import preloaded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every process starts as ever")

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("flags", [(), ("-P",), ("-B", "-P")], ids=" ".join)
@pytest.mark.parametrize("session", [False, True], ids=["ours", "its own session"])
def test_a_fork_knows_of_itself_what_a_new_process_knows(flags: tuple[str, ...], session: bool) -> None:
    command = [sys.executable, *flags, "-m", "tests.telling", "one", "two words"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOLD": "ä=ö"}
    forked, started = (
        kind(
            command,
            cwd=ROOT / "tests",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=session,
        )
        for kind in (preloaded.Popen, preloaded.Real)
    )
    told = [process.communicate("hello\n") for process in (forked, started)]
    assert json.loads(told[0][0]) == json.loads(told[1][0])
    assert [said for _, said in told] == ["True\n", "False\n"], "one has torch, the other has not"
    assert forked.returncode == started.returncode == 7


def test_a_fork_is_a_child_that_can_be_killed_and_leaves_its_usage_behind() -> None:
    command = [sys.executable, "-m", "tests.telling"]
    process = preloaded.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    assert psutil.Process(process.pid).ppid() == os.getpid()
    assert psutil.Process(process.pid).cmdline()[:3] == command
    os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGKILL
    assert usage.ru_maxrss > 0
    process.stdin.close()


def test_threads_may_ask_for_forks_at_the_same_time() -> None:
    said: list[str] = []

    def ask(number: int) -> None:
        command = [sys.executable, "-m", "tests.telling", str(number)]
        process = preloaded.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
        )
        said.extend(json.loads(process.communicate()[0])["arguments"])

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["0", "1", "2", "3"]
