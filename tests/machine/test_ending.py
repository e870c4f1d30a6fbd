"""How commands end: with their exit code, whatever a thread or a signal is at."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from nas.machine import ending
from nas.machine.ending import PLANNING, ends_as_it_says, left_at_once

HANGING = """
import os, signal, threading, torch
from dataclasses import dataclass
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Hanging:
    def build(self, data):
        if threading.current_thread().name == "nas-planning":
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                torch.zeros(3) + 1
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, data.num_classes))

def suggest(trial, data):
    return Proposal(Hanging(), Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""


class Left(BaseException):
    """What `os._exit` does here."""


def leave(code: int) -> NoReturn:
    raise Left(code)


@pytest.fixture
def planning(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody plans for ever."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=PLANNING, daemon=True)
    thread.start()
    monkeypatch.setattr(ending, "_planning", lambda: [thread])
    monkeypatch.setattr("nas.machine.ending.os._exit", leave)
    yield
    over.set()


def raises(error: BaseException) -> Callable[[], None]:
    @ends_as_it_says
    def main() -> None:
        raise error

    return main


@pytest.mark.usefixtures("planning")
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SystemExit(130), 130, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("no"), 1, "no\n"),
        (ValueError("a bug"), 1, "ValueError: a bug\n"),
    ],
)
def test_a_command_ends_with_its_exit_code_while_a_thread_is_planning(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    with pytest.raises(Left, match=str(code)):
        raises(error)()
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize("error", [SystemExit(2), ValueError("a bug")])
def test_otherwise_it_ends_as_any_program(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        raises(error)()
    assert raised.value is error


def test_ctrl_c_while_a_command_is_imported_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.machine.ending.os._exit", leave)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Left, match="130"), left_at_once():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_ctrl_c_ends_a_search_whose_planner_hangs_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANGING)
    command = (
        sys.executable,
        "-m",
        "nas",
        "search",
        "--space",
        "hanging.py",
        "--device",
        "cpu",
        "--study",
        "s",
    )
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=os.environ)
    assert (done.returncode, done.stderr) == (130, "")
    with sqlite3.connect(tmp_path / "studies" / "nas.db") as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials")]
    assert states
    assert "RUNNING" not in states
