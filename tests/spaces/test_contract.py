"""Our search spaces and baselines, and the space to start from, keep to the contract of `nas.testing`."""

from inspect import signature
from pathlib import Path

import pytest

import search_spaces
from nas.space.load import Space, known_baselines, load_space, shipped_spaces
from nas.testing import SpaceContract
from nas.testing.spaces import DATA
from tests.grids import first_of

TEMPLATE = str(Path(search_spaces.__path__[0], "_new_space.py"))


class TestOurs(SpaceContract):
    @pytest.fixture(
        params=first_of(4, [*shipped_spaces(), TEMPLATE, *known_baselines()]),
        ids=lambda name: Path(name).stem,
    )
    def space(self, request: pytest.FixtureRequest) -> Space:
        return load_space(request.param)


SOUND = """
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Net:
    width: int
    deep: bool

    def build(self, data):
        channels, height, width = data.shape
        layers = [nn.Flatten(), nn.Linear(channels * height * width, self.width)]
        if self.deep:
            layers.append(nn.Linear(self.width, self.width))
        return nn.Sequential(*layers, nn.Linear(self.width, data.num_classes))

def suggest(trial, data):
    width = 2 ** trial.suggest_int("log2_width", 3, 6)
    deep = trial.suggest_categorical("deep", [False, True])
    training = Training(batch_size=8, optimizer="sgd", learning_rate=0.1, augmentation=())
    return Proposal(Net(width, deep), training)
"""


@pytest.mark.parametrize(
    ("sound", "broken", "test"),
    [
        ("", "", None),
        ('"log2_width", 3, 6)', '"log2_width", 3, 6)\n    trial.suggest_int("x", 0, width)', "one_range"),
        ("(frozen=True)", "(eq=True, unsafe_hash=True)", "frozen"),
        (
            "width: int\n    deep",
            "width: int\n    __eq__ = lambda a, b: a is b\n    deep",
            "rebuild_a_proposal",
        ),
        ("Net(width, deep)", "Net(width + id(trial) % 97, deep)", "rebuild_a_proposal"),
        ("augmentation=()", "augmentation=('cutout',)", "no_augmentation"),
        ('int("log2_width", 3, 6)', 'categorical("log2_width", [6, 5, 4, 3])', "small_network"),
        ("data.num_classes)", "3)", "random_proposals_train"),
        (
            "return nn.Seq",
            "layers[1].spare = nn.Linear(2, 2)\n        return nn.Seq",
            "random_proposals_train",
        ),
        (
            'log2_width", 3, 6)',
            'log2_width", 3, 6)\n    assert data.shape[1] > 20, "no"',
            "refused_in_one_line",
        ),
    ],
)
def test_the_contract_notices_what_is_broken(tmp_path, sound, broken, test):
    assert sound in SOUND
    file = tmp_path / "space.py"
    file.write_text(SOUND.replace(sound, broken))
    contract, space, data = SpaceContract(), load_space(str(file)), DATA[1]
    failed = []
    for name in (name for name in dir(contract) if name.startswith("test_") and (test or "") in name):
        takes = {"space": space, "data": data, "small_data": data, "tmp_path": tmp_path}
        check = getattr(contract, name)
        try:
            check(**{argument: takes[argument] for argument in signature(check).parameters})
        except (AssertionError, pytest.fail.Exception):
            failed.append(name)
    assert bool(failed) is bool(test)
