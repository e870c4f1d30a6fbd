"""Plain PyTorch source: model.py, which needs torch and Pillow alone, and its weights beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import save

from nas.errors import NasError
from nas.exporters.parts.source_check import difference
from nas.exporters.parts.source_layers import write_layers
from nas.exporters.parts.source_literals import write_names
from nas.exporters.parts.trained import TrainedModel

TOLERANCE = 1e-5
"""The same code on the same weights: logits differ at all only where threads share the sums differently."""

BEGIN, END = "# The network {", "# }"
"""Lines of the template; what lies between them is replaced."""


def export(trained: TrainedModel, folder: Path) -> float:
    """Write model.py and model.safetensors, and check them; see `nas.exporters.parts.formats.Exporter`."""
    write(trained, folder)
    largest = difference(trained, folder)
    if not largest <= TOLERANCE:  # nor is NaN
        raise NasError(
            f"The network that model.py builds does not compute what trial {trained.trial} computes: "
            f"logits differ by up to {largest:g}. Nothing was exported; please report this."
        )
    return largest


def write(trained: TrainedModel, folder: Path) -> None:
    """Write the two files.

    Raises:
        NasError: the network has a layer or a structure that cannot be written.
    """
    (folder / "model.py").write_text(_source(trained), encoding="utf-8")
    state = trained.model.state_dict()
    # a copy of each, because safetensors takes neither shared nor strided memory
    weights = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    # not save_file, which would close the file to other users
    (folder / "model.safetensors").write_bytes(save(weights))


def _source(trained: TrainedModel) -> str:
    """The text of model.py: the template with this network in the place of the example."""
    template = files("nas.exporters.parts").joinpath("source_template.py").read_text(encoding="utf-8")
    before, rest = template.split(f"{BEGIN}\n")
    _, after = rest.split(f"{END}\n")
    return before + _network(trained) + after


def _network(trained: TrainedModel) -> str:
    table = trained.layers
    channels, height, width = trained.input_shape
    return f'''\
# Trial {trained.trial} of study {trained.study!r}, found in search space {trained.space!r}: \
{100 * trained.val_accuracy:.2f} % of the validation
# images right, with {table.parameters:,} parameters and {table.multiply_adds:,} multiply-adds for one image.

CLASSES = {write_names(trained.classes)}
CHANNELS, HEIGHT, WIDTH = {channels}, {height}, {width}
MEAN = {trained.mean!r}  # of each channel, scaled to [0, 1]
STD = {trained.std!r}


def layers() -> OrderedDict[str, nn.Module]:
    """The layers in their order, each with its output shape: channels x height x width, or features."""
    return {write_layers(trained.model, table)}
'''
