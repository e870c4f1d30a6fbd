"""Worker processes: how the engine learns of their end, and what can end them."""

import io
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
import torch
from optuna.trial import FixedTrial

from nas.datasets import open_data
from nas.engines.local import LocalEngine
from nas.engines.messages import Died, Ended, Message, NotPlanned, Ready, Seen, Stop, Task, Trained, encode
from nas.engines.planner import Planner
from nas.engines.worker import Worker
from nas.memory.planned import MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.space.load import load_space
from tests.conftest import DIGITS
from tests.engines.test_packing import PRETENDER, SETUP

ENDING = """
from dataclasses import dataclass
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Ending:
    def build(self, data):
        raise {error}("enough")

def suggest(trial, data):
    return Proposal(Ending(), Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""

PLAIN = """
from search_spaces.mlp import Mlp
from nas.space import Proposal, Training

def suggest(trial, data):
    network = Mlp(fc_units=(16,), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(network, Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""


TASK = Task(
    number=0,
    params={},
    seed=1,
    epochs=1,
    plan=MemoryPlan(micro_batch=32, accumulation=1, checkpointing=False, reservation=2**30, memory=None),
    weights="",
    checkpoint="",
)
READY = encode(Ready(worker=0, device="cpu", constants=MemoryConstants())).decode().strip()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(SETUP, ["cpu"], tmp_path, PRETENDER)
    yield engine
    engine.close()


def next_of(engine: LocalEngine) -> Message:
    return engine.messages(60)[0]


@pytest.fixture
def ignored_children() -> Iterator[None]:
    """As in a process whose parent ignored the deaths of its children."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="there are no such signals")
@pytest.mark.usefixtures("ignored_children")
def test_a_death_is_noticed_where_the_system_keeps_no_record_of_it(engine: LocalEngine) -> None:
    engine.open()
    assert isinstance(next_of(engine), Ready)
    engine._workers[0].process.kill()
    assert isinstance(next_of(engine), Died)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="nobody knows how large a process was")
@pytest.mark.parametrize(
    ("counts", "out_of_memory", "knows_size"),
    [((2, 3), True, False), ((2, 2), False, False), ((None, None), False, True)],
    ids=["by the kernel", "by somebody else", "nobody counts the kernel's kills"],
)
def test_a_worker_that_the_kernel_ended_for_lack_of_memory_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int | None, int | None],
    out_of_memory: bool,
    knows_size: bool,
) -> None:
    monkeypatch.setattr("nas.machine.cgroups.oom_kills", lambda root: counts[0])
    engine = LocalEngine(SETUP, ["cpu"], tmp_path, PRETENDER)
    engine.open()
    assert isinstance(next_of(engine), Ready)
    monkeypatch.setattr("nas.machine.cgroups.oom_kills", lambda root: counts[1])
    os.kill(engine._workers[0].process.pid, signal.SIGKILL)
    death = next_of(engine)
    assert isinstance(death, Died)
    assert (death.out_of_memory, death.resident > 0) == (out_of_memory, knows_size)
    assert ("no memory left" in death.reason) is out_of_memory
    engine.close()


def test_a_first_worker_that_died_is_opened_again_and_one_that_lives_is_not(engine: LocalEngine) -> None:
    engine.open()
    assert isinstance(next_of(engine), Ready)
    first = engine._workers[0].process
    engine.open()
    assert engine._workers[0].process is first
    first.kill()
    assert isinstance(next_of(engine), Died)
    engine.open()
    assert isinstance(next_of(engine), Ready)


@pytest.fixture
def immortal(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a worker that has a task, hangs, and is not ended by any signal."""
    engine._program = (sys.executable, "-c", f"import time; print({READY!r}, flush=True); time.sleep(1000)")
    engine.start(0, TASK)
    assert isinstance(next_of(engine), Ready)
    process = engine._workers[0].process
    with monkeypatch.context() as patch:
        patch.setattr("nas.engines.local.GRACE", 0.05)
        patch.setattr("nas.engines.local.os.kill", lambda pid, number: None)
        yield process
    process.kill()


def test_a_worker_that_cannot_be_killed_is_not_waited_for(
    engine: LocalEngine, immortal: subprocess.Popen[bytes]
) -> None:
    engine.close()
    assert immortal.poll() is None


def test_a_worker_that_cannot_be_killed_counts_as_dead_and_another_takes_its_place(
    engine: LocalEngine, immortal: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    engine.kill(TASK.number, "it hung")
    (death,) = engine.messages(60)
    assert death == Died(worker=0, number=TASK.number, reason="it hung, and it cannot be killed")
    engine._program = PRETENDER
    engine.start(0, replace(TASK, weights=str(tmp_path / "weights")))
    assert engine._workers[0].process is not immortal
    assert isinstance(next_of(engine), Ready)


@pytest.mark.parametrize(
    ("said", "code"), [(b"", 0), (b'{"kind": "St', 1), (b"{}\n", 1), (encode(Stop(number=1)), 0)]
)
def test_a_worker_that_nobody_tells_anything_any_more_ends(
    monkeypatch: pytest.MonkeyPatch, said: bytes, code: int
) -> None:
    class Exit(BaseException):
        pass

    def leave(code: int) -> NoReturn:
        raise Exit(code)

    monkeypatch.setattr("nas.engines.worker.os._exit", leave)
    worker = Worker.__new__(Worker)
    worker._stopped = {}
    with pytest.raises(Exit, match=str(code)):
        worker._listen(io.BytesIO(said), queue.SimpleQueue())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
def test_a_network_that_cannot_be_built_does_not_end_the_planner(tmp_path: Path, error: type) -> None:
    file = tmp_path / "ending.py"
    file.write_text(ENDING.format(error=error.__name__))
    space = load_space(str(file))
    answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
    planner = Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put)
    planner.open()
    for number in range(2):
        planner.plan(number, space.suggest(FixedTrial({}), DIGITS), MemoryConstants())
        answer = answers.get(timeout=60)
        assert isinstance(answer, NotPlanned)
        assert answer.number == number
        assert "enough" in answer.reason
    planner.close()


@pytest.mark.parametrize("error", [Exception, ValueError, RuntimeError])
def test_an_exception_whose_text_cannot_be_made_ends_its_trial_and_not_the_worker(error: type) -> None:
    class Silent(error):  # type: ignore[misc,valid-type]
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    def train(task: Task) -> NoReturn:
        raise Silent

    sent: list[Message] = []
    worker = Worker.__new__(Worker)
    worker.__dict__ |= {"device": torch.device("cpu"), "_train": train, "_send": sent.append}
    worker._run(TASK)
    (ended,) = sent
    assert isinstance(ended, Ended)
    assert (ended.how, ended.reason) == ("failed", "Silent: its text cannot be made: ValueError")


def test_a_worker_says_how_far_a_long_epoch_is_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Message] = []
    worker, trainer = Worker.__new__(Worker), SimpleNamespace(seen=(1, 64, 1216))
    worker.__dict__ |= {"_send": sent.append, "_glanced": 100.0}
    for moment in (100.1, 100.4, 100.5, 100.9, 101.0, 101.2):
        monkeypatch.setattr("nas.engines.worker.time", SimpleNamespace(monotonic=lambda now=moment: now))
        worker._tell_seen(7, cast(Any, trainer))
    assert sent == [Seen(number=7, epochs=1, images=64, of=1216)] * 2


CLOSED_WHILE_BUSY = """
import queue, sys
from optuna.trial import FixedTrial
from nas.engines.planner import Planner
from nas.engines.worker import Worker
from nas.memory.prediction import MemoryConstants
from nas.space.load import load_space
from nas.space.parameters import smallest
from tests.conftest import DIGITS
space, answers = load_space("cnn_fc"), queue.SimpleQueue()
proposal = space.suggest(FixedTrial(smallest(space, DIGITS)), DIGITS)
planner = Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put)
planner.open()
if sys.argv[1] == "plans":
    for number in range(20):
        planner.plan(number, proposal, MemoryConstants())
    answers.get()
planner.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["starts", pytest.param("plans", marks=pytest.mark.slow)])
def test_a_process_may_end_while_its_planner_is_busy(what: str) -> None:
    done = subprocess.run([sys.executable, "-c", CLOSED_WHILE_BUSY, what], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def until(kind: type[Message], engine: LocalEngine) -> None:
    while not any(isinstance(message, kind) for message in engine.messages(60)):
        pass


def test_a_trial_that_is_stopped_leaves_a_checkpoint_only_to_go_on_from(tmp_path: Path) -> None:
    file, checkpoints = tmp_path / "plain.py", tmp_path / "checkpoints"
    file.write_text(PLAIN)
    files = {"weights": str(tmp_path / "weights"), "checkpoint": str(checkpoints / "trial-00000.pt")}
    task = replace(TASK, epochs=10_000, **files)
    setup = replace(SETUP, space=str(file), data=str(open_data("digits").folder))
    engine = LocalEngine(setup, ["cpu"], tmp_path)
    try:
        for keep in (True, False):
            engine.start(0, task)
            until(Trained, engine)
            engine.stop(0, keep=keep)
            until(Ended, engine)
            assert any(checkpoints.iterdir()) is keep
    finally:
        engine.close()
