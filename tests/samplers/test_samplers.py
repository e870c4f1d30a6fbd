"""Every sampler that comes with us keeps to the contract of `nas.testing`."""

import sys
from types import ModuleType

import optuna
import pytest
from optuna.samplers import RandomSampler

from nas.errors import BrokenFile
from nas.machine.plugins import SAMPLERS
from nas.samplers.base import make_sampler
from nas.testing import SamplerContract


@pytest.mark.parametrize("name", SAMPLERS.shipped(), scope="class")
class TestOurs(SamplerContract):
    @pytest.fixture(autouse=True)
    def named(self, name):
        self.name = name


@pytest.fixture
def dice(tmp_path, monkeypatch):
    """The module of a sampler of another distribution, still without a `make`."""
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[nas.samplers]\ndice = their_dice\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("their_dice")
    monkeypatch.setitem(sys.modules, "their_dice", module)
    return module


def test_what_is_no_sampler_is_told_before_a_trial_is_asked_for(dice):
    dice.make = lambda seed: seed
    with pytest.raises(
        BrokenFile, match=r"^Sampler 'dice' \(their_dice\): make\(\) returned int, no sampler"
    ):
        make_sampler("dice", 0, 0)


@pytest.mark.parametrize(
    "method",
    ["before_trial", "infer_relative_search_space", "sample_relative", "sample_independent", "after_trial"],
)
def test_one_that_fails_at_work_is_shown_with_its_line(dice, method):
    def fail(*_):
        raise KeyError("six")

    dice.make = lambda seed: type("Dice", (RandomSampler,), {method: fail})(seed=seed)
    study = optuna.create_study(sampler=make_sampler("dice", 0, 0))
    with pytest.raises(
        BrokenFile, match=r"^Sampler 'dice' \(their_dice\): 'six' \(.*test_samplers\.py, line \d+"
    ):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
