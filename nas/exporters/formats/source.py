"""Plain PyTorch source: model.py, which needs torch and Pillow alone, and its weights beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from pprint import pformat
from types import ModuleType

from nas.exporters.runtime import Runtime
from nas.exporters.trained import TrainedModel
from nas.metrics.base import metric_title

LOSSY = False

HOLDS_CODE = True

MODEL, WEIGHTS = "model.py", "model.safetensors"

BEGIN, END = "# The network {\n", "# }\n"
"""Lines of the template; what lies between them is replaced."""

BEGIN_PIXELS, END_PIXELS = "# The pixels [\n\n\n", "\n\n# ]\n"
"""Likewise: what lies between them is that of `deep_pixels.py` where images are read in all their depth."""

NEEDED = (
    ("import argparse\n", "import ast\n"),
    ("import json\n", "import math\n"),
    ("import warnings\n", "from array import array\n"),
)
"""Imports of its own, and behind which of the template's they stand."""

WIDTH = 100
"""Characters of a line of names."""


def check() -> None:
    """It needs nothing but torch."""


def export(trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
    """Write model.py, which has the preprocessing in any case, and model.safetensors.

    Raises:
        NasError: the network has a part that cannot be written.
    """
    import torch
    from safetensors.torch import save

    (folder / MODEL).write_text(_source(trained), encoding="utf-8")
    state = trained.model.state_dict()
    # a copy of each, because safetensors takes neither shared nor strided memory
    weights = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    # not save_file, which would close the file to other users
    (folder / WEIGHTS).write_bytes(save(weights))


def load(folder: Path, threads: int) -> Runtime:
    """The network that model.py builds."""
    import torch

    torch.set_num_threads(threads)
    file = folder / MODEL
    module = ModuleType("exported_model")
    module.__file__ = str(file)
    # not imported, which would leave bytecode in the folder
    exec(compile(file.read_text(encoding="utf-8"), file, "exec"), module.__dict__)
    model = module.load()
    return Runtime(lambda images: model(torch.from_numpy(images)).detach().numpy(), uint8=False)


def usage(*, uint8: bool) -> str:
    """Model.py as a module."""
    return """\
from model import load
model = load()  # needs torch and Pillow; model.predict("image.png") takes an image of any kind and size
logits = model(images)  # both are torch.Tensor
"""


def _source(trained: TrainedModel) -> str:
    """The text of model.py: the template with this network in the place of the example."""
    before, network_and_rest = _text("template.py").split(BEGIN)
    _, rest = network_and_rest.split(END)
    middle, pixels, after = _around_pixels(rest)
    if trained.native:
        _, pixels, _ = _around_pixels(_text("deep_pixels.py"))
        for name, line in NEEDED:
            before = before.replace(name, name + line, 1)
    return before + _network(trained) + middle + pixels + after


def _text(name: str) -> str:
    return files("nas.exporters.source_code").joinpath(name).read_text(encoding="utf-8")


def _around_pixels(text: str) -> tuple[str, str, str]:
    """What comes before `preprocess` and what belongs to it, these, and what comes after."""
    before, rest = text.split(BEGIN_PIXELS)
    pixels, after = rest.split(END_PIXELS)
    return before, pixels, after


def _network(trained: TrainedModel) -> str:
    from nas.exporters.source_code.layers import write_network

    table = trained.layers
    channels, height, width = trained.input_shape
    blocks, body = write_network(trained.model, table)
    return f'''\
# {_title(trained)}
# {table.parameters:,} parameters, {table.multiply_adds:,} multiply-adds for one image.

CLASSES = {_names(trained.classes)}
CHANNELS, HEIGHT, WIDTH = {channels}, {height}, {width}
{_bits(trained)}MEAN = {trained.mean!r}  # of each channel, scaled to [0, 1]
STD = {trained.std!r}


{blocks}def network() -> nn.Module:
    """The layers, each with its output shape: channels x height x width, or features."""
{body}
'''


def _bits(trained: TrainedModel) -> str:
    return f"BITS = {trained.bits}  # of a value\n" if trained.native else ""


def _title(trained: TrainedModel) -> str:
    origin = trained.origin
    if origin is None:
        return f"A {type(trained.model).__name__}."
    return (
        f"Trial {origin.trial} of study {origin.study!r}, found in search space {origin.space!r}: "
        f"validation {metric_title(origin.metric)} {origin.value:.4f}."
    )


def _names(classes: tuple[str, ...]) -> str:
    """A tuple of strings as source, over as many lines as it takes."""
    literal = pformat(classes, width=WIDTH, compact=True)
    if "\n" not in literal:
        return literal
    body = literal[1:-1].replace("\n ", "\n    ")
    return f"(\n    {body},\n)"
