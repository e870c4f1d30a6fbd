"""Names, paths and settings of `open_data`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.datasets import known_datasets, open_data, source_name
from nas.errors import DataError, InvalidSetting, UnknownName

from .samples import pixels, write_folder

ROOT = Path(__file__).parents[2]


def test_known_datasets_are_listed_by_name() -> None:
    known = known_datasets()
    assert known == sorted(known)
    assert {"digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn", "stl10"} <= set(
        known
    )


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(UnknownName, match=r"No dataset named 'digit'. Did you mean 'digits'"):
        open_data("digit")


@pytest.mark.parametrize("source", ["./nothing", "no/where/", "nothing.npz"])
def test_a_path_to_nothing_is_no_unknown_name(source: str) -> None:
    with pytest.raises(DataError, match="there is no such"):
        open_data(source)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("images.zip", "is an archive: unpack it.*<class>/<image>"),
        ("images.tar.gz", "is an archive: unpack it"),
        ("train.xlsx", "is a table of a kind that is not read: save it as .csv"),
        ("train.csv", "is no table: there are no two columns"),
        ("cat.JPG", "is a single image.*the folder of all images"),
        ("images", "is a file, not a folder"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_file_is_told_as_what_it_is(
    prefix: str, file: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).touch()
    with pytest.raises(DataError, match=f"{tmp_path / file} {message}"):
        open_data(prefix + file)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("digits", "digits"),
        ("/x/cifar10/", "cifar10"),
        ("a/b.npz", "b"),
        ("./pets", "pets"),
        ("pets.v2", "pets.v2"),
        (".", "here"),
    ],
)
def test_a_source_has_a_short_name(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert source_name(source) == name


def test_a_folder_needs_no_separator_but_gives_way_to_a_known_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pets", "digits"):
        write_folder(tmp_path / name, pixels(24, 4, 4))
    assert open_data("pets").info.shape == (1, 4, 4)
    assert open_data("digits").info.shape == (1, 8, 8)
    assert open_data("./digits").info.shape == (1, 4, 4)


def test_progress_counts_up_to_all_images() -> None:
    calls: list[tuple[int, int]] = []
    open_data("digits", progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 10
    assert calls == sorted(calls)
    assert calls[-1] == (1797, 1797)


def test_each_setting_has_decoded_images_of_its_own() -> None:
    folders = {
        open_data("digits", **settings).folder
        for settings in ({}, {"split_seed": 1}, {"image_size": 9}, {"skip_broken": True})
    }
    assert len(folders) == 4


@pytest.mark.parametrize("size", [0, -8])
def test_an_image_size_is_positive(size: int) -> None:
    with pytest.raises(InvalidSetting, match=str(size)):
        open_data("digits", image_size=size)


def test_an_added_image_gives_a_new_fingerprint_and_leaves_the_others_in_their_splits(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", pixels(300, 4, 4))
    first = open_data(str(tmp_path / "pets"))
    write_folder(tmp_path / "pets", pixels(301, 4, 4))
    second = open_data(str(tmp_path / "pets"))
    assert first.fingerprint != second.fingerprint
    before = {image.tobytes() for image in first.val.images}
    after = {image.tobytes() for image in second.val.images}
    assert len(before - after) <= 1


def test_decoded_images_open_without_pillow_or_the_library_they_came_from() -> None:
    open_data("digits")
    script = (
        "import sys; from nas.datasets import open_data; open_data('digits').train;"
        "print([name for name in ('PIL', 'sklearn', 'torch', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_largest_class_is_compared_with_the_smallest(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", pixels(60, 4, 4), ("cat",))
    write_folder(tmp_path / "pets", pixels(20, 4, 4, seed=1), ("dog",))
    data = open_data(str(tmp_path / "pets"))
    assert data.class_counts["train"] == (42, 14)
    assert data.imbalance == 3


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://example.org/images", "is an address: download the images first"),
        ("./gone", "it is a link to what is not there"),
        ("./device", "it is no folder"),
        ("folder.npz", "it is a folder, no file"),
        ("./nowhere", "there is no such folder"),
    ],
)
def test_what_is_no_dataset_is_told_as_what_it_is(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gone").symlink_to("elsewhere")
    Path("folder.npz").mkdir()
    os.mkfifo("device")
    with pytest.raises(DataError, match=said) as error:
        open_data(source)
    assert ".." not in str(error.value)
