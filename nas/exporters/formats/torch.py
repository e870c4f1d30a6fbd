"""A program of `torch.export`: model.pt2, which PyTorch alone loads, for batches of any size."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nas.exporters.pixels import example, with_preprocessing
from nas.exporters.registry import cannot_hold
from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel

LOSSY = False

HOLDS_CODE = True

PROGRAM = "model.pt2"


def check() -> None:
    """It needs nothing but torch."""


def export(trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
    """Write model.pt2.

    Raises:
        NasError: PyTorch cannot export the network.
    """
    import torch

    model = with_preprocessing(trained) if uint8 else trained.model
    batch = torch.export.Dim("batch", min=1)
    try:
        program = torch.export.export(model, (example(trained, uint8),), dynamic_shapes=({0: batch},))
    except Exception as error:  # whatever in the author's code it cannot follow
        raise cannot_hold("torch", error) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    torch.export.save(program, folder / PROGRAM)


def load(folder: Path, threads: int) -> Runtime:
    """The program, as PyTorch runs it."""
    import torch

    torch.set_num_threads(threads)
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)  # of a broken file the error tells enough
    program = torch.export.load(folder / PROGRAM)
    takes = program.example_inputs[0][0].dtype if program.example_inputs else torch.float32
    model = program.module()

    def run(images: Any) -> Any:
        with torch.no_grad():
            return model(torch.from_numpy(images)).numpy()

    return Runtime(run, uint8=takes in (torch.uint8, torch.uint16))


def usage(*, uint8: bool) -> str:
    """`torch.export.load`."""
    return f"""\
import torch
model = torch.export.load("{PROGRAM}").module()
logits = model(images)  # both are torch.Tensor
"""
