"""Decoded files that a power cut, a disk or a person damaged are noticed, and decoded anew."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.datasets import ImageData, open_data
from nas.datasets.checksums import SUMS
from nas.errors import StorageError

from .samples import pixels, write_folder


@pytest.fixture
def pets(tmp_path: Path) -> str:
    write_folder(tmp_path / "pets", pixels(24, 4, 4, 3))
    return str(tmp_path / "pets")


def flip(file: Path, byte: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)


def without(folder: Path, key: str) -> None:
    fields = json.loads((folder / "info.json").read_text())
    del fields[key]
    (folder / "info.json").write_text(json.dumps(fields))


def power_cut(folder: Path) -> None:
    """What a file system leaves that knew the names of files, and not yet their content."""
    for file in folder.iterdir():
        file.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "power cut": power_cut,
    "info is a list": lambda folder: (folder / "info.json").write_text("[]"),
    "info lacks a key": lambda folder: without(folder, "mean"),
    "info lacks a key of a key": lambda folder: (folder / "info.json").write_text('{"info": {}}'),
    "info is gone": lambda folder: (folder / "info.json").unlink(),
    "info flipped": lambda folder: flip(folder / "info.json", 300),
    "images cut off": lambda folder: os.truncate(folder / "train_images.npy", 300),
    "images empty": lambda folder: os.truncate(folder / "val_images.npy", 0),
    "images flipped": lambda folder: flip(folder / "train_images.npy"),
    "labels flipped": lambda folder: flip(folder / "val_labels.npy", -8),
    "header flipped": lambda folder: flip(folder / "val_labels.npy", 0),
    "test images cut off": lambda folder: os.truncate(folder / "test_images.npy", 300),
    "test images gone": lambda folder: (folder / "test_images.npy").unlink(),
    "sums empty": lambda folder: (folder / SUMS).write_text(""),
    "sums of another shape": lambda folder: (folder / SUMS).write_text('{"info.json": 3}'),
    "sums that are a list": lambda folder: (folder / SUMS).write_text("[1e999]"),
    "sums that sum nothing": lambda folder: (folder / SUMS).write_text("{}"),
    "sums flipped": lambda folder: flip(folder / SUMS, 20),
    "sums gone, as before there were any": lambda folder: (folder / SUMS).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_decoded_anew(pets: str, damage: Callable[[Path], object]) -> None:
    first = open_data(pets)
    before = {file.name: file.read_bytes() for file in first.folder.iterdir()}
    damage(first.folder)
    decoded: list[int] = []
    again = open_data(pets, progress=lambda done, total: decoded.append(done))
    assert decoded == [24]
    assert again == first
    assert {file.name: file.read_bytes() for file in again.folder.iterdir()} == before
    open_data(pets, progress=lambda done, total: decoded.append(done))
    assert decoded == [24], "and now it is whole"


def test_damaged_test_images_are_noticed_when_they_are_opened(pets: str) -> None:
    data = open_data(pets)
    flip(data.folder / "test_images.npy")
    assert open_data(pets) == data, "a search does not open them"
    with pytest.raises(StorageError, match=r"test split .*have changed.*Start again"):
        data.open_test()
    again = open_data(pets).open_test()
    assert (
        len({image.tobytes() for image in again.images} & {image.tobytes() for image in pixels(24, 4, 4, 3)})
        == 3
    )


@pytest.mark.parametrize("content", ["[]", "3", '{"info": {}}', '{"info": []}', '{"info": {"shape": 3}}'])
def test_a_worker_says_in_one_line_that_its_folder_is_damaged(pets: str, content: str) -> None:
    folder = open_data(pets).folder
    (folder / "info.json").write_text(content)
    with pytest.raises(StorageError, match="is gone or damaged"):
        ImageData.open(folder)


def test_arrays_of_another_dataset_are_refused_when_they_are_mapped(pets: str) -> None:
    data = open_data(pets)
    np.save(data.folder / "train_labels.npy", np.zeros(3, np.int64))
    with pytest.raises(StorageError, match=r"train split cannot be read: its files hold arrays of .* \(3,\)"):
        data.train  # noqa: B018


def test_all_is_on_the_disk_before_it_has_its_name(pets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: written.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    monkeypatch.setattr(
        Path, "rename", lambda old, new: written.append(f"{old} is {new}") or rename(old, new)
    )
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell which file a descriptor is of")
    folder = open_data(pets).folder
    temporary = folder.with_name(f"{folder.name}.tmp")
    *before, named, after = written
    assert {*before} == {str(temporary), *(str(temporary / file.name) for file in folder.iterdir())}
    assert named == f"{temporary} is {folder}"
    assert after == str(folder.parent)
