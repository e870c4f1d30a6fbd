"""Every format that comes with us keeps to the contract of `nas.testing`."""

import pytest

from nas.exporters.registry import shipped_exporters
from nas.testing import ExporterContract


class TestSource(ExporterContract):
    name = "source"


class TestTorch(ExporterContract):
    name = "torch"


class TestOnnx(ExporterContract):
    name = "onnx"


@pytest.mark.slow  # the slowest to write; tests of the command write it too
class TestInt8(ExporterContract):
    name = "int8"


def test_no_format_is_left_out() -> None:
    assert {contract.name for contract in ExporterContract.__subclasses__()} >= set(shipped_exporters())
