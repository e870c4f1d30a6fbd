"""What a search space asks, found by letting it suggest."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from nas.space.load import load_space
from nas.space.parameters import parameters, smallest
from tests.conftest import DIGITS

SPACE = """
from dataclasses import dataclass
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Nothing:
    def build(self, data): ...

def suggest(trial, data):
    kind = trial.suggest_categorical("kind", ["plain", "deep", "wide"])
    for layer in range(trial.suggest_int("layers", 1, 4) if kind == "deep" else 0):
        trial.suggest_int(f"width_{layer}", 8, 64, step=8)
    if kind == "wide":
        trial.suggest_int("groups", 2, 2)
    trial.suggest_float("ratio", 1.0, 3.0)
    trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    rate = trial.suggest_float("rate", 1e-4, 1e-2, log=True)
    trial.suggest_int("units", 4, data.num_classes, log=True)
    return Proposal(Nothing(), Training(batch_size=32, optimizer="sgd", learning_rate=rate))
"""


@pytest.fixture
def space(tmp_path):
    file = tmp_path / "space.py"
    file.write_text(SPACE)
    return load_space(str(file))


def test_the_smallest_proposal_takes_the_lowest_of_everything_and_the_middle_of_floats(space):
    assert smallest(space, DIGITS) == {
        "kind": "plain",
        "ratio": 2.0,
        "dropout": 0.2,
        "rate": pytest.approx(1e-3),
        "units": 4,
    }


def test_the_smallest_parameters_rebuild_a_proposal():
    for name in ("mlp", "cnn_fc"):
        space = load_space(name)
        params = smallest(space, DIGITS)
        trial = FixedTrial(params)
        space.suggest(trial, DIGITS)
        assert trial.params == params


def test_parameters_come_in_the_order_in_which_they_are_asked(space):
    assert [parameter.name for parameter in parameters(space, DIGITS)] == [
        *("kind", "groups", "layers", "width_0", "width_1", "width_2", "width_3"),
        *("ratio", "dropout", "rate", "units"),
    ]


def test_parameters_tell_their_range_and_how_often_they_appear(space):
    found = {parameter.name: parameter for parameter in parameters(space, DIGITS)}
    assert found["kind"].distribution == CategoricalDistribution(("plain", "deep", "wide"))
    assert found["width_3"].distribution == IntDistribution(8, 64, step=8)
    assert found["rate"].distribution == FloatDistribution(1e-4, 1e-2, log=True)
    assert found["units"].distribution.high == DIGITS.num_classes
    assert found["rate"].share == 1
    assert found["layers"].share == pytest.approx(1 / 3, abs=0.1)
    conditional = {name for name, parameter in found.items() if parameter.conditional}
    assert conditional == {"groups", "layers", "width_0", "width_1", "width_2", "width_3"}


def test_parameters_are_the_same_every_time(space):
    assert parameters(space, DIGITS) == parameters(space, DIGITS)
