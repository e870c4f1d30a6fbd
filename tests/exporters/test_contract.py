"""Every format that comes with us keeps to the contract of `nas.testing`."""

import pytest

from nas.exporters.registry import shipped_exporters
from nas.testing import ExporterContract
from tests.grids import first_of


@pytest.mark.parametrize(
    "name", first_of(1, sorted(shipped_exporters(), key=lambda name: name != "source")), scope="class"
)
class TestOurs(ExporterContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name
