"""Every source that comes with us keeps to the contract of `nas.testing`.

A new source is one more line in `samples.py`.
"""

import importlib.util
from pathlib import Path

import pytest

from nas.testing import DatasetContract, Sample

from .samples import OURS, TORCHVISION, Maker

without_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
MAKERS = [
    *(pytest.param(maker, id=maker.__name__) for maker in OURS),
    *(pytest.param(maker, id=maker.__name__, marks=without_torchvision) for maker in TORCHVISION),
]


class TestOurs(DatasetContract):
    @pytest.fixture(params=MAKERS)
    def sample(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Sample:
        maker: Maker = request.param
        root = tmp_path / "source"
        root.mkdir()
        return maker(root, monkeypatch)
