"""A network that learnt to read digits, exported in every format, once for all tests."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.datasets import ImageData, open_data
from nas.exporters import Export, TrainedModel, export_model
from nas.exporters.pixels import normalise
from tests.exporters.samples import ORIGIN


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the default run, ONNX takes raw images in `test_formats.py` alone."""
    for item in items:
        if "TestOnnx" in item.nodeid and item.name.endswith("[uint8]"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def digits(cache: Path) -> ImageData:
    return open_data("digits")


@pytest.fixture(scope="session")
def reader(digits: ImageData) -> TrainedModel:
    """Convolutions with batch norm, trained for a few seconds: right for most of the validation images."""
    torch.manual_seed(0)
    layers = {
        "conv1": nn.Conv2d(1, 16, 3, padding=1, bias=False),
        "norm1": nn.BatchNorm2d(16),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(16, 32, 3, padding=1, bias=False),
        "norm2": nn.BatchNorm2d(32),
        "relu2": nn.ReLU(),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(32 * 16, 10),
    }
    model = nn.Sequential(OrderedDict(layers))
    images = torch.from_numpy(normalise(digits.train.images, digits.mean, digits.std))
    labels = torch.tensor(digits.train.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(8):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    return TrainedModel(
        model=model.eval(),
        input_shape=digits.info.shape,
        classes=tuple(f"digit {name}" for name in digits.classes),
        mean=digits.mean,
        std=digits.std,
        data="digits",
        data_facts={
            "counts": digits.counts,
            "fingerprint": digits.fingerprint,
            "split_digest": digits.split_digest,
        },
        images=digits,
        origin=ORIGIN,
        versions={"nas": "0.1.0", "torch": "2.11"},
    )


@pytest.fixture(scope="session")
def exported(reader: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Every format of it."""
    pytest.importorskip("onnxscript")
    return export_model(reader, tmp_path_factory.mktemp("export") / "out")


@pytest.fixture(scope="session")
def raw(reader: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The same with the preprocessing in the files."""
    pytest.importorskip("onnxscript")
    return export_model(
        reader, tmp_path_factory.mktemp("export") / "out", ["torch", "onnx", "int8"], uint8=True
    )


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs distributions that offer an export format each, for this process and its children."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)

    def install(name: str, source: str) -> None:
        (site / f"their_{name}.py").write_text(source)
        info = site / f"their_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: their-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[nas.exporters]\n{name} = their_{name}\n")

    return install
