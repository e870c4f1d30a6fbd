"""Every format that comes with us keeps to the contract of `nas.testing`."""

import pytest

from nas.exporters.registry import shipped_exporters
from nas.testing import ExporterContract


@pytest.mark.parametrize("name", shipped_exporters(), scope="class")
class TestOurs(ExporterContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name
