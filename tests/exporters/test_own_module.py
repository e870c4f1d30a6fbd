"""`nas.export`: a module that no search found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nas
from nas.datasets import ImageData
from nas.errors import InvalidSetting, NasError
from tests.conftest import Nas
from tests.exporters.samples import NOTE


class Net(nn.Module):
    """A residual network of its author's own."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.stem(images))
        features = features + self.body(features)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Counting(Net):
    """What `torch.fx` cannot follow, and `torch.export` can."""

    def forward(self, images: Tensor) -> Tensor:
        for _ in range(images.shape[1]):
            images = images + 1
        return super().forward(images)


def test_a_module_is_exported_with_what_its_dataset_tells(tmp_path: Path, digits: ImageData) -> None:
    model = Net().train()
    export = nas.export(model, tmp_path / "out", data="digits", formats=["source"])
    assert export.reference.images == len(digits.val)
    assert export.formats["source"].agreement == 1
    assert model.training
    content = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert content["classes"] == list(digits.classes)
    assert content["mean"] == list(digits.mean)
    assert "study" not in content
    text = (tmp_path / "out" / "model.py").read_text()
    assert "class Net(Block):" in text
    assert "stem = self.stem(images)" in text
    assert (tmp_path / "out" / "README.md").read_text().startswith("# Net for digits\n")


def test_without_a_dataset_random_images_are_compared(tmp_path: Path) -> None:
    export = nas.export(
        Counting(2), tmp_path / "out", input_shape=(1, 12, 10), classes=["left", "right"], formats=["torch"]
    )
    assert export.reference.accuracy is None
    assert export.formats["torch"].accuracy is None
    card = (tmp_path / "out" / "README.md").read_text()
    assert "random images" in card
    assert "| name | not known |" in card


def test_source_says_where_it_cannot_and_the_default_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(NasError, match=r"source cannot write the network, a Counting: its forward cannot"):
        nas.export(Counting(2), tmp_path / "out", input_shape=(1, 8, 8), classes="ab", formats=["source"])
    export = nas.export(Counting(2), tmp_path / "out", input_shape=(1, 8, 8), classes="ab")
    assert list(export.formats) == ["torch"]
    assert "a Counting" in export.left_out["source"]
    assert export.left_out["onnx"] == export.left_out["int8"]
    assert "pip install 'optuna-nas[onnx]'" in export.left_out["onnx"]


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (Net(2), {}, "needs input_shape and classes, or data"),
        (Net(2), {"input_shape": (1, 8, 8)}, "needs input_shape and classes, or data"),
        (Net(3), {"input_shape": (1, 8, 8), "classes": "ab"}, "gives 3 logits for an image, and 2 classes"),
        (Net(3), {"data": "digits"}, "gives 3 logits for an image, and 10 classes"),
        (Net(2), {"input_shape": (3, 8, 8), "classes": "ab"}, "does not run on images of 3 x 8 x 8"),
        (
            Net(2),
            {"input_shape": (1, 8, 8), "classes": "ab", "std": (1, 1)},
            "std has 2 values for 1 channels",
        ),
    ],
    ids=["nothing", "classes", "outputs", "labels", "channels", "std"],
)
def test_a_module_that_does_not_fit_is_refused(
    tmp_path: Path, model: nn.Module, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message):
        nas.export(model, tmp_path / "out", formats=["source"], **settings)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_failed_and_ends_with_one(
    nas: Nas, install: Callable[[str, str], None], tmp_path: Path
) -> None:
    install("flat", NOTE.format(content="hello", logits="zeros").replace("(3, dtype", "(10, dtype"))
    assert nas("export")[0] == 2, "there is no study yet"
    tiny = ("--space", "mlp", "--epochs", 1, "--workers", 1, "--threads", 1, "--device", "cpu", "--trials", 1)
    assert nas("search", *tiny, "--quiet")[0] == 0
    code, out, err = nas("export", "--out", "mine", "--format", "source", "--format", "flat")
    assert code == 1
    assert "The format flat failed: it predicts another class than the network on" in err
    assert "read back in fresh processes on 269 validation images" in out
    assert (tmp_path / "mine" / "model.py").exists()
    assert not (tmp_path / "mine" / "note.txt").exists()
    (tmp_path / "file").touch()
    code, _, err = nas("export", "--out", "file", "--format", "source")
    assert code == 2
    assert "is a file" in err


@pytest.mark.parametrize("classes", [["a", "a"], [1, 2], ["", "a"], ["a\nb", "c"]], ids=str)
def test_names_of_classes_that_cannot_be_told_apart_or_shown_are_refused(tmp_path, classes):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(InvalidSetting, match="class"):
        nas.export(network, tmp_path / "out", input_shape=(1, 2, 2), classes=classes, formats=["source"])
    assert not (tmp_path / "out").exists()
