"""model.py builds the very network that was exported, where nothing of ours can be imported."""

import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from nas.errors import NasError
from nas.exporters import TrainedModel
from nas.exporters.formats import source
from nas.exporters.source_code.layers import KINDS
from tests.exporters.samples import imported, sampled, simple, trained, used

COMPARE = """
import importlib.util, json, sys
from pathlib import Path

for name in ("nas", "search_spaces", "optuna", "safetensors", "numpy"):
    sys.modules[name] = None

differences = {}
for folder in map(Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    expected = model.read_safetensors(folder / "expected.safetensors")
    logits = model.load()(expected["images"])
    # random networks may give large logits
    scale = max(1, expected["logits"].abs().max().item())
    differences[folder.name] = (logits - expected["logits"]).abs().max().item() / scale
print(json.dumps(differences))
"""


def every_kind() -> TrainedModel:
    """A network of every layer that can be written, with options that are no defaults, and nested blocks."""
    stem = [
        nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(1, 2), padding_mode="reflect", bias=False),
        nn.BatchNorm2d(4, eps=1e-3, momentum=None),
        nn.SiLU(inplace=True),
    ]
    block = OrderedDict(
        conv=nn.Conv2d(4, 8, 3, padding="same", dilation=2, groups=2),
        norm=nn.BatchNorm2d(8, affine=False, track_running_stats=False),
        group=nn.GroupNorm(2, 8, eps=1e-3),
        gate=nn.Sigmoid(),
        drop=nn.Dropout2d(0.1),
        inner=nn.Sequential(nn.GELU(approximate="tanh"), nn.Identity()),
        avg=nn.AvgPool2d((2, 3), stride=2, ceil_mode=True, divisor_override=5),
        max=nn.MaxPool2d(3, stride=1, padding=1),
        largest=nn.AdaptiveMaxPool2d((4, 4)),
    )
    head = [
        nn.AdaptiveAvgPool2d((None, 2)),
        nn.Flatten(1, 2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64, 5, bias=False),
        nn.BatchNorm1d(5, momentum=0.3),
        nn.ReLU(),
        nn.Hardsigmoid(),
        nn.Hardswish(),
        nn.ReLU6(),
        nn.Tanh(),
        nn.Linear(5, 3),
    ]
    model = nn.Sequential(nn.Sequential(*stem), nn.Sequential(block), *head)
    assert {type(module) for module in model.modules()} == {*KINDS, nn.Sequential}
    return trained(used(model, (3, 16, 16)), (3, 16, 16))


def channels_last() -> TrainedModel:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 3))
    return trained(model.to(memory_format=torch.channels_last), (3, 8, 8))


def shared_weights() -> TrainedModel:
    square = nn.Linear(64, 64)
    tied = nn.Linear(64, 64)
    tied.weight = square.weight
    return trained(nn.Sequential(nn.Flatten(), square, nn.ReLU(), square, tied, nn.Linear(64, 3)), (1, 8, 8))


def transposed_weights() -> TrainedModel:
    linear = nn.Linear(64, 3)
    linear.weight = nn.Parameter(torch.rand(64, 3).t())
    return trained(nn.Sequential(nn.Flatten(), linear), (1, 8, 8))


@pytest.mark.parametrize(
    "samples",
    [{(1, 8, 8): 1}, pytest.param({(1, 8, 8): 3, (3, 32, 32): 2, (1, 28, 28): 1}, marks=pytest.mark.slow)],
)
def test_the_exported_network_computes_the_same_in_a_process_without_us(
    tmp_path: Path, samples: dict[tuple[int, int, int], int]
) -> None:
    torch.manual_seed(0)
    models = [every_kind(), channels_last(), shared_weights(), transposed_weights()]
    for shape, count in samples.items():
        models += sampled(shape, count)
    for number, model in enumerate(models):
        folder = tmp_path / str(number)
        folder.mkdir()
        source.export(model, folder, uint8=False)
        images = torch.randn(3, *model.input_shape)
        with torch.no_grad():
            save_file({"images": images, "logits": model.model(images)}, folder / "expected.safetensors")
    command = [sys.executable, "-c", COMPARE, *map(str, sorted(tmp_path.iterdir()))]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    differences = json.loads(run.stdout)
    assert len(differences) == len(models)
    assert {number: value for number, value in differences.items() if not value <= 1e-5} == {}


def test_the_source_names_each_layer_on_a_line_with_its_output_shape(tmp_path: Path) -> None:
    layers = OrderedDict(
        conv1=nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        norm1=nn.BatchNorm2d(8),
        block=nn.Sequential(nn.MaxPool2d(2)),
        flatten=nn.Flatten(),
        classifier=nn.Linear(32, 3),
    )
    module = imported(trained(nn.Sequential(layers), (3, 8, 8)), tmp_path)
    text = (tmp_path / "model.py").read_text()
    for line in (
        "('conv1', nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)),  # 8 x 4 x 4",
        "        ('norm1', nn.BatchNorm2d(8)),                                    # 8 x 4 x 4",
        "            ('0', nn.MaxPool2d(2)),                                      # 8 x 2 x 2",
        "        ('classifier', nn.Linear(32, 3)),                                # 3",
    ):
        assert line in text
    assert list(module.load().network.state_dict()) == list(nn.Sequential(layers).state_dict())


class Gated(nn.Module):
    """Scales what passes through by a gate of its own."""

    def __init__(self, shortcut: bool) -> None:
        super().__init__()
        self.paths = nn.ModuleList([nn.Conv2d(1, 1, 3, padding=1), nn.Hardtanh()])
        self.shortcut = nn.Identity() if shortcut else None
        self.gate = nn.Parameter(torch.rand(1, 1, 1))
        self.register_buffer("count", torch.tensor(3))
        self.scale = 0.5

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = images
        for path in self.paths:
            out = path(out)
        out = functional.relu(out) * self.gate * self.scale / self.count
        return out if self.shortcut is None else out + self.shortcut(images)


class Model(nn.Sequential):
    """A "subclass" of a name that is taken."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(images).flatten(1)


def test_blocks_of_an_authors_own_are_written_as_readable_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model(Gated(True), nn.Sequential(Gated(False), Gated(True)), nn.Linear(8, 3))
    module = imported(trained(model, (1, 8, 8), classes=tuple("abc" * 8)), tmp_path)
    images = torch.randn(5, 1, 8, 8)
    assert torch.equal(module.load()(images), model(images))
    text = (tmp_path / "model.py").read_text()
    for line in (
        "class Model2(Block):",
        "class Gated(Block):",
        '    """Scales what passes through by a gate of its own."""',
        "        paths_1 = self.paths[1](paths_0)",
        "class Gated2(Block):",
        "gate=nn.Parameter(torch.empty((1, 1, 1))),",
        "count=nn.Buffer(torch.empty((), dtype=torch.int64)),",
    ):
        assert line in text
    assert text.count("(Block):") == 4


class Deciding(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.shape[1] > 2 else -images


class Constant(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + torch.ones(1)


class Hidden(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.mask


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Deciding(), "the network, a Deciding: its forward cannot be followed: symbolically traced"),
        (nn.Sequential(OrderedDict(stem=nn.Sequential(Deciding()))), r"layer 'stem\.0', a Deciding"),
        (nn.Sequential(nn.ReLU(), Hidden()), "layer '1', a Hidden: its buffer 'mask' is not part of"),
    ],
    ids=["module", "nested", "buffer"],
)
def test_a_module_that_cannot_be_written_is_named(tmp_path: Path, model: nn.Module, named: str) -> None:
    with pytest.raises(NasError, match=f"format source cannot write {named}"):
        source.export(trained(model, (1, 8, 8)), tmp_path, uint8=False)
    assert not list(tmp_path.iterdir())


NAMES = [
    ("cat", "dog", "emu"),
    ('quo"te', "apos'trophe", "back\\slash"),
    ("línea", "新", "\U0001f600"),
    ("two\nlines", " ", "\udcff"),
    tuple(f"class number {number}, with a long name" for number in range(100)),
    ("x" * 300, "many words " * 30, "y"),
]


@pytest.mark.parametrize("names", NAMES, ids=range(len(NAMES)))
def test_every_class_name_comes_through(tmp_path: Path, names: tuple[str, ...]) -> None:
    classes = imported(simple(classes=names), tmp_path).CLASSES
    assert classes == names


def test_the_reader_reads_every_type_of_tensor(tmp_path: Path) -> None:
    module = imported(simple(), tmp_path)
    floats = torch.randn(3, 5)
    tensors = {str(dtype): (20 * floats).to(dtype) for dtype in module.DTYPES.values()}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 4)}
    save_file(tensors, tmp_path / "all.safetensors", metadata={"format": "pt"})
    read = module.read_safetensors(tmp_path / "all.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert read[name].shape == tensor.shape
        assert torch.equal(read[name], tensor)
