"""What every export format keeps to."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.datasets import ImageData, open_data
from nas.errors import NasError
from nas.exporters.export import export_model
from nas.exporters.registry import Exporter, known_exporters, load_exporter
from nas.exporters.trained import TrainedModel

EXACT = 1e-4
"""The largest difference of a logit."""

LOSSY = 0.1
"""The largest mean difference, in standard deviations of the logits, of a format that rounds."""


class Block(nn.Module):
    """A network that is no `nn.Sequential`: a layer, and a way around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.conv(maps))


class ExporterContract:
    """Give the `name` of a format: that of its entry point."""

    name: str

    @pytest.fixture
    def exporter(self) -> Exporter:
        exporter = load_exporter(self.name)
        try:
            exporter.check()
        except NasError as error:
            pytest.skip(str(error))
        return exporter

    @pytest.fixture
    def trained(self) -> TrainedModel:
        """A network for the digits, with random weights and running statistics."""
        data = open_data("digits")
        torch.manual_seed(0)
        layers = OrderedDict(
            stem=nn.Conv2d(1, 8, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(8),
            block=Block(8),
            pool=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            classifier=nn.Linear(128, 10),
        )
        model = nn.Sequential(layers)
        with torch.no_grad():
            model.train()(_normalised(data))
        return TrainedModel(
            model=model.eval(),
            input_shape=data.info.shape,
            classes=data.classes,
            mean=data.mean,
            std=data.std,
            data="digits",
            images=data,
        )

    def test_it_is_found_by_its_name(self) -> None:
        assert self.name in known_exporters()

    @pytest.mark.parametrize("uint8", [False, True], ids=["float", "uint8"])
    def test_its_files_compute_what_the_network_computes_in_batches_of_any_size(
        self, exporter: Exporter, trained: TrainedModel, tmp_path: Path, uint8: bool
    ) -> None:
        exporter.export(trained, tmp_path, uint8=uint8)
        runtime = exporter.load(tmp_path, 1)
        assert trained.images is not None
        with torch.no_grad():
            expected: NDArray[np.float32] = trained.model(_normalised(trained.images)).numpy()
        for size in (1, 7, 64):
            images = runtime.prepare(trained.images.val.images[:size], trained.mean, trained.std)
            logits = runtime.run(images)
            assert logits.shape == (size, len(trained.classes))
            differences = np.abs(logits - expected[:size])
            if exporter.LOSSY:
                assert differences.mean() <= LOSSY * expected.std()
            else:
                assert differences.max() <= EXACT

    def test_it_leaves_the_network_as_it_was_and_names_no_folder_of_this_machine(
        self, exporter: Exporter, trained: TrainedModel, tmp_path: Path
    ) -> None:
        before = copy.deepcopy(trained.model.state_dict())
        exporter.export(trained, tmp_path, uint8=False)
        assert not trained.model.training
        for name, tensor in trained.model.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        assert list(tmp_path.iterdir()), "it wrote nothing"
        for file in tmp_path.iterdir():
            for place in (tmp_path, Path(__file__).parents[2], Path.home()):
                assert f"{place}/".encode() not in file.read_bytes(), file.name

    def test_an_export_of_it_is_verified_and_whole(
        self, exporter: Exporter, trained: TrainedModel, tmp_path: Path
    ) -> None:
        export = export_model(trained, tmp_path / "out", [self.name], max_drop=1.0)
        assert list(export.formats) == [self.name]
        assert set(export.files) == {path.name for path in (tmp_path / "out").iterdir()}


def _normalised(data: ImageData) -> Tensor:
    """The validation images as the network takes them."""
    pixels = torch.tensor(data.val.images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    return (pixels - mean) / std
