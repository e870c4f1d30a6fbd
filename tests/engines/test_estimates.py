"""What a planner says of proposals before the first plan."""

import queue

import pytest

from nas.engines.messages import Estimated, Planned
from nas.engines.planner import Planner
from nas.memory.prediction import MemoryConstants
from nas.space.load import load_space
from nas.space.parameters import at_random
from tests.conftest import DIGITS
from tests.engines.test_local import ENDING

MANY = 4


def planner_of(space):
    answers = queue.SimpleQueue()
    return Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put), answers


@pytest.fixture
def proposals(mlp):
    return list(at_random(mlp, DIGITS, [{}] * MANY))


def test_the_work_of_each_proposal_is_estimated_before_it_plans(mlp, proposals):
    planner, answers = planner_of(mlp)
    planner.estimate(proposals, MANY)
    planner.plan(7, proposals[0], MemoryConstants())
    planner.open()
    estimated, planned = answers.get(timeout=60), answers.get(timeout=60)
    planner.close()
    assert isinstance(estimated, Estimated)
    assert [work["calls"] > 0 for work in estimated.works] == [True] * MANY
    assert isinstance(planned, Planned)
    assert planned.number == 7


def test_a_plan_that_is_waited_for_leaves_time_for_a_few_alone(mlp, proposals):
    planner, answers = planner_of(mlp)
    planner.estimate(proposals, 1)
    planner.plan(7, proposals[0], MemoryConstants())
    planner.open()
    works = answers.get(timeout=60).works
    planner.close()
    assert [work is None for work in works] == [False] + [True] * (MANY - 1)


@pytest.mark.parametrize("error", [SystemExit, ValueError])
def test_of_a_network_that_cannot_be_built_nothing_is_known(tmp_path, error):
    file = tmp_path / "ending.py"
    file.write_text(ENDING.format(error=error.__name__))
    space = load_space(str(file))
    planner, answers = planner_of(space)
    planner.estimate(list(at_random(space, DIGITS, [{}])), 1)
    planner.open()
    assert answers.get(timeout=60) == Estimated(works=(None,))
    planner.close()
