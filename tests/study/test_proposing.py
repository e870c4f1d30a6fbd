"""Our samplers and pruners keep to the contract of `nas.testing`."""

import pytest

from nas.machine import plugins
from nas.recipe import PRUNERS, SAMPLERS
from nas.testing import PrunerContract, SamplerContract


class TestSamplers(SamplerContract):
    @pytest.fixture(autouse=True, params=plugins.shipped(SAMPLERS[0]))
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


class TestPruners(PrunerContract):
    @pytest.fixture(autouse=True, params=plugins.shipped(PRUNERS[0]))
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


class TestMedian(PrunerContract):
    name = "median"

    def test_what_lies_below_the_median_ends_after_the_first_fifth(self) -> None:
        good, bad = [0.8] * self.epochs, [0.1] * self.epochs
        assert self.ended([*[good] * 6, bad])[-1] == 2
