"""Every sampler that comes with us keeps to the contract of `nas.testing`."""

import pytest

from nas.machine.plugins import SAMPLERS
from nas.testing import SamplerContract


@pytest.mark.parametrize("name", SAMPLERS.shipped(), scope="class")
class TestOurs(SamplerContract):
    @pytest.fixture(autouse=True)
    def named(self, name):
        self.name = name
