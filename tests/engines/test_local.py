"""Worker processes: how the engine learns of their end, and what can end them."""

import queue
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import FixedTrial

from nas.engines.local import LocalEngine
from nas.engines.messages import Died, Message, NotPlanned, Ready
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
    for number in range(2):
        planner.plan(number, space.suggest(FixedTrial({}), DIGITS), {})
        answer = answers.get(timeout=60)
        assert isinstance(answer, NotPlanned)
        assert answer.number == number
        assert "enough" in answer.reason
