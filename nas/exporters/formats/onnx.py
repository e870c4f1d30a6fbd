"""ONNX: model.onnx, one file, for batches of any size; onnxruntime and many others run it."""

from __future__ import annotations

from pathlib import Path

from nas.exporters import onnx_graph
from nas.exporters.registry import need
from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel

LOSSY = False

HOLDS_CODE = False

GRAPH = "model.onnx"


def check() -> None:
    """Raises NasError without the extra onnx."""
    need("onnx", "onnx", "onnxscript", "onnxruntime")


def export(trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
    """Write model.onnx.

    Raises:
        NasError: PyTorch cannot bring the network into ONNX.
    """
    onnx_graph.write(trained, folder / GRAPH, uint8=uint8)


def load(folder: Path, threads: int) -> Runtime:
    """The graph, as onnxruntime runs it."""
    return onnx_graph.load(folder / GRAPH, threads)


def usage(*, uint8: bool) -> str:
    """`onnxruntime.InferenceSession`."""
    return onnx_graph.usage(GRAPH)
