"""Every sampler that comes with us keeps to the contract of `nas.testing`."""

import sys
from types import ModuleType

import pytest

from nas.errors import BrokenFile
from nas.machine.plugins import SAMPLERS
from nas.samplers.base import make_sampler
from nas.testing import SamplerContract


@pytest.mark.parametrize("name", SAMPLERS.shipped(), scope="class")
class TestOurs(SamplerContract):
    @pytest.fixture(autouse=True)
    def named(self, name):
        self.name = name


def test_what_is_no_sampler_is_told_before_a_trial_is_asked_for(tmp_path, monkeypatch):
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[nas.samplers]\ndice = their_dice\n")
    monkeypatch.syspath_prepend(tmp_path)
    dice = ModuleType("their_dice")
    dice.make = lambda seed: seed
    monkeypatch.setitem(sys.modules, "their_dice", dice)
    with pytest.raises(
        BrokenFile, match=r"^Sampler 'dice' \(their_dice\): make\(\) returned int, no sampler of Optuna$"
    ):
        make_sampler("dice", 0, 0)
