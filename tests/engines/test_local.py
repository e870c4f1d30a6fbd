"""Worker processes: how the engine learns of their end, and what can end them."""

import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import FixedTrial

from nas.datasets import open_data
from nas.engines.local import LocalEngine
from nas.engines.messages import Died, Ended, Message, NotPlanned, Plan, Ready, Task, Trained
from nas.engines.planner import Planner
from nas.plugins import load_space
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


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
def test_a_network_that_cannot_be_built_does_not_end_the_planner(tmp_path: Path, error: type) -> None:
    file = tmp_path / "ending.py"
    file.write_text(ENDING.format(error=error.__name__))
    space = load_space(str(file))
    answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
    planner = Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put)
    planner.open()
    for number in range(2):
        planner.plan(number, space.suggest(FixedTrial({}), DIGITS), {})
        answer = answers.get(timeout=60)
        assert isinstance(answer, NotPlanned)
        assert answer.number == number
        assert "enough" in answer.reason
    planner.close()


CLOSED_WHILE_BUSY = """
import queue, sys
from optuna.trial import FixedTrial
from nas.engines.planner import Planner
from nas.plugins import load_space
from nas.ranges import smallest
from tests.conftest import DIGITS
space, answers = load_space("cnn_fc"), queue.SimpleQueue()
proposal = space.suggest(FixedTrial(smallest(space, DIGITS)), DIGITS)
planner = Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put)
planner.open()
if sys.argv[1] == "plans":
    for number in range(20):
        planner.plan(number, proposal, {})
    answers.get()
planner.close()
"""


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
    task = Task(
        number=0,
        params={},
        seed=1,
        epochs=10_000,
        plan=Plan(micro_batch=32, accumulation=1, checkpointing=False, predicted=2**30, parts={}),
        weights=str(tmp_path / "weights"),
        checkpoint=str(checkpoints / "trial-00000.pt"),
    )
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
