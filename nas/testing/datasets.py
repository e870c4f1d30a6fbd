"""What every source of images keeps to."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.datasets import ImageData, open_data
from nas.datasets.image_data import Split
from nas.errors import StorageError


@dataclass(frozen=True)
class Sample:
    """A small dataset in the format of a source, and what must come out of it."""

    source: str
    """What `nas search --data` takes: a name or a path."""
    shape: tuple[int, int, int]
    """(channels, height, width)"""
    classes: tuple[str, ...]
    counts: dict[str, int]
    """Images by split: train, val and test."""
    augmentations: tuple[str, ...]
    test_images: NDArray[np.uint8] | NDArray[np.uint16] | None = None
    """(n, height, width, channels), where the source brings a test split in a format that loses nothing."""
    files: Path | None = None
    """The folder or file that the source reads."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `open_data`."""
    seed_matters: bool = True
    """Whether the source leaves a split open, so that the split seed draws it."""
    distinct: bool = True
    """Whether no two images are the same."""
    bits: int = 8
    """Of a value: 8 or 16."""


class DatasetContract:
    """Give the fixture `sample`: a dataset that is written, in `tmp_path` if it has files, and described."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each test has a cache folder of its own."""
        monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))

    @pytest.fixture
    def sample(self) -> Sample:
        raise NotImplementedError("Give the fixture `sample`.")

    def test_the_facts_are_those_of_the_source(self, sample: Sample) -> None:
        data = _opened(sample)
        assert data.info.shape == sample.shape
        assert data.info.bits == sample.bits
        assert data.info.augmentations == sample.augmentations
        assert data.info.num_classes == len(sample.classes)
        assert (data.info.num_train, data.info.num_val) == (sample.counts["train"], sample.counts["val"])
        assert data.classes == sample.classes
        assert data.counts == sample.counts
        assert data.info.name == Path(sample.source).stem

    def test_the_arrays_are_what_the_facts_say(self, sample: Sample) -> None:
        data = _opened(sample)
        channels, height, width = data.info.shape
        for name, split in _splits(data).items():
            assert len(split) == data.counts[name]
            assert split.images.shape == (len(split), height, width, channels)
            assert split.images.dtype == f"uint{sample.bits}"
            assert split.labels.dtype == np.int64
            assert tuple(np.bincount(split.labels, minlength=len(data.classes))) == data.class_counts[name]
            assert min(data.class_counts[name]) >= 1

    def test_the_arrays_are_mapped_and_read_only(self, sample: Sample) -> None:
        for split in _splits(_opened(sample)).values():
            assert isinstance(split.images, np.memmap)
            assert not split.images.flags.writeable
            assert not split.labels.flags.writeable

    def test_no_image_is_lost_or_in_two_splits(self, sample: Sample) -> None:
        images = np.concatenate([split.images for split in _splits(_opened(sample)).values()])
        assert len(images) == sum(sample.counts.values())
        if sample.distinct:
            assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)

    def test_the_test_split_of_the_source_is_kept(self, sample: Sample) -> None:
        if sample.test_images is None:
            pytest.skip("the source has no test split, or its format loses something")
        assert np.array_equal(_opened(sample).open_test().images, sample.test_images)

    def test_the_statistics_are_those_of_the_training_images(self, sample: Sample) -> None:
        data = _opened(sample)
        scaled = data.train.images / np.iinfo(data.train.images.dtype).max
        assert data.mean == pytest.approx(scaled.mean(axis=(0, 1, 2)))
        assert data.std == pytest.approx(scaled.std(axis=(0, 1, 2)))

    def test_the_folder_alone_opens_again(self, sample: Sample) -> None:
        data = _opened(sample)
        if sample.files:
            shutil.rmtree(sample.files) if sample.files.is_dir() else sample.files.unlink()
        again = ImageData.open(data.folder)
        assert again == data
        assert np.array_equal(again.train.images, data.train.images)

    def test_training_and_validation_never_open_the_test_files(self, sample: Sample) -> None:
        folder = _opened(sample).folder
        for file in folder.glob("test_*"):
            file.unlink()
        data = ImageData.open(folder)
        assert len(data.train) + len(data.val) == sample.counts["train"] + sample.counts["val"]
        with pytest.raises(StorageError, match="test split"):
            data.open_test()

    def test_a_second_opening_decodes_nothing(self, sample: Sample) -> None:
        calls: list[tuple[int, int]] = []
        first = _opened(sample, progress=lambda done, total: calls.append((done, total)))
        assert calls[-1] == (sum(sample.counts.values()),) * 2
        calls.clear()
        assert _opened(sample, progress=lambda done, total: calls.append((done, total))) == first
        assert not calls

    def test_a_file_written_again_is_decoded_again(self, sample: Sample) -> None:
        if sample.files is None:
            pytest.skip("the source reads no files of its own")
        first = _opened(sample)
        files = sample.files.rglob("*") if sample.files.is_dir() else [sample.files]
        os.utime(next(file for file in files if file.is_file()), ns=(0, 12345))
        assert _opened(sample).folder != first.folder

    def test_everybody_gets_the_same_split(
        self, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = _opened(sample)
        monkeypatch.setenv("NAS_CACHE", str(tmp_path / "elsewhere"))
        again = _opened(sample)
        assert again.folder != first.folder
        assert again.fingerprint == first.fingerprint
        assert again.split_digest == first.split_digest

    def test_another_split_seed_draws_another_split_of_what_the_source_leaves_open(
        self, sample: Sample
    ) -> None:
        first, second = _opened(sample), _opened(sample, split_seed=1)
        assert (first.split_digest != second.split_digest) == sample.seed_matters
        assert (first.fingerprint != second.fingerprint) == sample.seed_matters
        assert first.class_counts == second.class_counts

    def test_images_are_brought_to_the_size_asked_for(self, sample: Sample) -> None:
        data = _opened(sample, image_size=7)
        assert data.info.shape == (sample.shape[0], 7, 7)
        assert data.train.images.shape[1:3] == (7, 7)


def _opened(sample: Sample, **options: Any) -> ImageData:
    return open_data(sample.source, **{**sample.options, **options})


def _splits(data: ImageData) -> dict[str, Split]:
    return {"train": data.train, "val": data.val, "test": data.open_test()}
