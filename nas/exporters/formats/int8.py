"""ONNX in 8-bit integers: model.int8.onnx, about a quarter of the size, and often faster in onnxruntime.

Static quantization: weights and activations become integers, the scales of the activations being measured on
training images. Nodes that quantize and dequantize stand around every operation (QDQ); weights are signed,
with a scale for each channel, and activations unsigned, which processors run fastest. What it costs in
accuracy, and whether it is faster here, is measured at every export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.exporters import onnx_graph
from nas.exporters.formats import onnx as floats
from nas.exporters.registry import cannot_hold
from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel

LOSSY = True

HOLDS_CODE = False

GRAPH = "model.int8.onnx"

CALIBRATION = 256
"""Training images; with 64 to 512 of CIFAR-10 the accuracy is the same within its error."""
BATCH = 32


def check() -> None:
    """Raises NasError without the extra onnx."""
    floats.check()


def export(trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
    """Write model.int8.onnx, from the model.onnx in `folder` if there is one.

    Raises:
        NasError: there are no images to calibrate on, or the network cannot be brought into this format.
    """
    if trained.images is None:
        raise NasError("The format int8 is calibrated on training images, and there are none at hand.")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as temporary, onnx_graph.quiet():
        source, ready = folder / floats.GRAPH, Path(temporary, "ready.onnx")
        if not source.exists():
            source = Path(temporary, floats.GRAPH)
            onnx_graph.write(trained, source, uint8=uint8)
        batches = _batches(trained, onnx_graph.load(source, 1))

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
            def get_next(self) -> dict[str, NDArray[Any]] | None:
                return next(batches, None)

        try:
            quant_pre_process(source, ready)
            quantization.quantize_static(
                ready,
                folder / GRAPH,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        except Exception as error:  # whatever in the graph it cannot follow
            raise cannot_hold("int8", error) from error
    onnx_graph.scrub(folder / GRAPH)


def load(folder: Path, threads: int) -> Runtime:
    """The graph, as onnxruntime runs it."""
    return onnx_graph.load(folder / GRAPH, threads)


def usage(*, uint8: bool) -> str:
    """`onnxruntime.InferenceSession`."""
    return onnx_graph.usage(GRAPH)


def _batches(trained: TrainedModel, runtime: Runtime) -> Iterator[dict[str, NDArray[Any]]]:
    """Training images, always the same ones, as the graph takes them."""
    assert trained.images is not None
    train = trained.images.train
    drawn = np.random.default_rng(0).permutation(len(train))[:CALIBRATION]
    for start in range(0, len(drawn), BATCH):
        images = train.images[np.sort(drawn[start : start + BATCH])]
        yield {"images": runtime.prepare(images, trained.mean, trained.std)}
