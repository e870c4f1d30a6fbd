"""What every source of images keeps to. A new source is one more line in `samples.py`."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets import ImageData, open_data
from nas.datasets.image_data import Split
from nas.errors import StorageError

from .samples import OURS, TORCHVISION, Maker, Sample

without_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
MAKERS = [
    *(pytest.param(maker, id=maker.__name__) for maker in OURS),
    *(pytest.param(maker, id=maker.__name__, marks=without_torchvision) for maker in TORCHVISION),
]


@pytest.fixture(params=MAKERS)
def sample(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    maker: Maker = request.param
    root = tmp_path / "source"
    root.mkdir()
    return maker(root, monkeypatch)


def opened(sample: Sample, **options: Any) -> ImageData:
    return open_data(sample.source, **{**sample.options, **options})


def splits_of(data: ImageData) -> dict[str, Split]:
    return {"train": data.train, "val": data.val, "test": data.open_test()}


def test_the_facts_are_those_of_the_source(sample: Sample) -> None:
    data = opened(sample)
    assert data.info.shape == sample.shape
    assert data.info.augmentations == sample.augmentations
    assert data.info.num_classes == len(sample.classes)
    assert (data.info.num_train, data.info.num_val) == (sample.counts["train"], sample.counts["val"])
    assert data.classes == sample.classes
    assert data.counts == sample.counts
    assert data.info.name == Path(sample.source).stem


def test_the_arrays_are_what_the_facts_say(sample: Sample) -> None:
    data = opened(sample)
    channels, height, width = data.info.shape
    for name, split in splits_of(data).items():
        assert len(split) == data.counts[name]
        assert split.images.shape == (len(split), height, width, channels)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert tuple(np.bincount(split.labels, minlength=len(data.classes))) == data.class_counts[name]
        assert min(data.class_counts[name]) >= 1


def test_the_arrays_are_mapped_and_read_only(sample: Sample) -> None:
    for split in splits_of(opened(sample)).values():
        assert isinstance(split.images, np.memmap)
        assert not split.images.flags.writeable
        assert not split.labels.flags.writeable


def test_no_image_is_lost_or_in_two_splits(sample: Sample) -> None:
    images = np.concatenate([split.images for split in splits_of(opened(sample)).values()])
    assert len(images) == sum(sample.counts.values())
    if sample.source != "digits":  # some are drawn alike
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_the_test_split_of_the_source_is_kept(sample: Sample) -> None:
    if sample.test_images is None:
        pytest.skip("the source has no test split, or its format loses something")
    assert np.array_equal(opened(sample).open_test().images, sample.test_images)


def test_the_statistics_are_those_of_the_training_images(sample: Sample) -> None:
    data = opened(sample)
    scaled = data.train.images / 255
    assert data.mean == pytest.approx(scaled.mean(axis=(0, 1, 2)))
    assert data.std == pytest.approx(scaled.std(axis=(0, 1, 2)))


def test_the_folder_alone_opens_again(sample: Sample) -> None:
    data = opened(sample)
    if sample.files:
        shutil.rmtree(sample.files) if sample.files.is_dir() else sample.files.unlink()
    again = ImageData.open(data.folder)
    assert again == data
    assert np.array_equal(again.train.images, data.train.images)


def test_training_and_validation_never_open_the_test_files(sample: Sample) -> None:
    folder = opened(sample).folder
    for file in folder.glob("test_*"):
        file.unlink()
    data = ImageData.open(folder)
    assert len(data.train) + len(data.val) == sample.counts["train"] + sample.counts["val"]
    with pytest.raises(StorageError, match="test split"):
        data.open_test()


def test_a_second_opening_decodes_nothing(sample: Sample) -> None:
    calls: list[tuple[int, int]] = []
    first = opened(sample, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (sum(sample.counts.values()),) * 2
    calls.clear()
    assert opened(sample, progress=lambda done, total: calls.append((done, total))) == first
    assert not calls


def test_a_file_written_again_is_decoded_again(sample: Sample) -> None:
    if sample.files is None:
        pytest.skip("the source reads no files of its own")
    first = opened(sample)
    files = sample.files.rglob("*") if sample.files.is_dir() else [sample.files]
    os.utime(next(file for file in files if file.is_file()), ns=(0, 12345))
    assert opened(sample).folder != first.folder


def test_everybody_gets_the_same_split(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(sample)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "elsewhere"))
    again = opened(sample)
    assert again.folder != first.folder
    assert again.fingerprint == first.fingerprint
    assert again.split_digest == first.split_digest


def test_another_split_seed_draws_another_split_of_what_the_source_leaves_open(sample: Sample) -> None:
    first, second = opened(sample), opened(sample, split_seed=1)
    assert (first.split_digest != second.split_digest) == sample.seed_matters
    assert (first.fingerprint != second.fingerprint) == sample.seed_matters
    assert first.class_counts == second.class_counts


def test_images_are_brought_to_the_size_asked_for(sample: Sample) -> None:
    data = opened(sample, image_size=7)
    assert data.info.shape == (sample.shape[0], 7, 7)
    assert data.train.images.shape[1:3] == (7, 7)
