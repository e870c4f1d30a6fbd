"""ONNX graphs: written by PyTorch, freed of what only this machine should know, run by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.exporters.pixels import example, with_preprocessing
from nas.exporters.registry import cannot_hold, need
from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel


def write(trained: TrainedModel, file: Path, *, uint8: bool) -> None:
    """Write the network as one file, for batches of any size.

    Raises:
        NasError: PyTorch cannot bring the network into ONNX.
    """
    import torch

    model = with_preprocessing(trained) if uint8 else trained.model
    try:
        with quiet():
            torch.onnx.export(
                model,
                (example(trained, uint8),),
                file,
                dynamo=True,
                dynamic_shapes=({0: "batch"},),
                input_names=["images"],
                output_names=["logits"],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # whatever in the author's code it cannot follow
        raise cannot_hold("onnx", error) from error
    scrub(file)


def scrub(file: Path) -> None:
    """Remove notes of where a graph comes from: stack traces name files of this machine."""
    import onnx

    model = onnx.load(file)
    _forget(model)
    onnx.save(model, file)


def load(file: Path, threads: int) -> Runtime:
    """Open a graph with onnxruntime, on the processor. It reads no weights outside the folder of the file.

    Raises:
        NasError: onnxruntime is missing.
        Exception: the file is broken.
    """
    need("onnx", "onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    silent = onnxruntime.RunOptions()
    options.log_severity_level = silent.log_severity_level = 4  # what fails is raised, not printed
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()
    return Runtime(
        lambda batch: session.run(None, {images.name: batch}, silent)[0],
        uint8=images.type in ("tensor(uint8)", "tensor(uint16)"),
    )


def usage(name: str) -> str:
    """Python that runs the graph of this name."""
    return f"""\
import onnxruntime
session = onnxruntime.InferenceSession("{name}")
(logits,) = session.run(None, {{"images": images}})  # both are numpy.ndarray
"""


def _forget(message: Any) -> None:
    """Clear the notes of a message of protobuf and of all in it."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                _forget(inner)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings about packages that could be used and about code that is not the user's."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
