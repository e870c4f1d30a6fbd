"""Every format that comes with us keeps to the contract of `nas.testing`."""

from nas.exporters.registry import shipped_exporters
from nas.testing import ExporterContract


class TestSource(ExporterContract):
    name = "source"


class TestTorch(ExporterContract):
    name = "torch"


class TestOnnx(ExporterContract):
    name = "onnx"


class TestInt8(ExporterContract):
    name = "int8"


def test_no_format_is_left_out() -> None:
    assert {contract.name for contract in ExporterContract.__subclasses__()} >= set(shipped_exporters())
