"""Folders of class folders: their layouts, and what may lie in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.datasets import open_data
from nas.errors import DataError

from .samples import pixels, write_folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Eight 4x4 grey images each of a cat, a dog and an emu."""
    root = tmp_path / "pets"
    write_folder(root, pixels(24, 4, 4))
    return root


def rewrite(root: Path, *images: Image.Image) -> None:
    """Replace the first images of the first class."""
    for file, image in zip(sorted((root / "cat").iterdir()), images, strict=False):
        image.save(file)


@pytest.mark.parametrize(
    ("train", "val", "test"), [("train", "val", "test"), ("Training", "Valid", "TESTING")]
)
def test_split_folders_may_have_their_usual_names(tmp_path: Path, train: str, val: str, test: str) -> None:
    for name, count in ((train, 12), (val, 6), (test, 9)):
        write_folder(tmp_path / "pets" / name, pixels(count, 4, 4))
    assert open_data(str(tmp_path / "pets")).counts == {"train": 12, "val": 6, "test": 9}


def test_classes_are_sorted_and_their_folders_may_be_deep(pets: Path) -> None:
    (pets / "ant/small/red").mkdir(parents=True)
    for index in range(5):
        Image.new("L", (4, 4), index).save(pets / f"ant/small/red/{index}.PNG")
    data = open_data(str(pets))
    assert data.classes == ("ant", "cat", "dog", "emu")
    assert data.class_counts["train"][0] == 3


def test_one_coloured_image_makes_all_rgb(pets: Path) -> None:
    grey = open_data(str(pets))
    assert grey.info.shape == (1, 4, 4)
    Image.new("RGB", (4, 4), "red").save(pets / "emu/999.png")
    data = open_data(str(pets))
    assert data.info.shape == (3, 4, 4)
    assert "24 grey images stored as RGB like the others" in data.notes
    images = np.concatenate([data.train.images, data.val.images, data.open_test().images])
    coloured = (images[..., 0] != images[..., 1]).any(axis=(1, 2))
    assert coloured.sum() == 1
    kept = {image.tobytes() for image in images[~coloured][..., 0]}
    assert kept == {image.tobytes() for image in pixels(24, 4, 4)}


def test_what_was_done_to_images_is_counted_in_notes(pets: Path) -> None:
    rewrite(pets, *[Image.new("RGBA", (4, 4))] * 2, Image.new("1", (4, 4)))
    notes = open_data(str(pets)).notes
    assert "2 RGBA images blended onto black" in notes
    assert "1 1-bit image converted to grey" in notes


def test_other_files_are_left_out_and_noted(pets: Path) -> None:
    (pets / "cat/notes.txt").touch()
    (pets / "cat/.DS_Store").touch()
    (pets / ".git/objects").mkdir(parents=True)
    Image.new("L", (9, 9)).save(pets / "cover.png")
    data = open_data(str(pets))
    assert sum(data.counts.values()) == 24
    assert data.notes == (
        "1 file outside the class folders left out, such as cover.png",
        "1 file of no image type left out, such as cat/notes.txt",
    )


def test_images_of_different_sizes_need_a_size(pets: Path) -> None:
    rewrite(pets, Image.new("L", (4, 4)), Image.new("L", (5, 3)))
    with pytest.raises(DataError, match=r"cat/000.png is 4x4, cat/003.png is 5x3 .*--image-size"):
        open_data(str(pets))
    data = open_data(str(pets), image_size=6)
    assert data.info.shape == (1, 6, 6)
    assert "images of 2 sizes cropped to a square and resized to 6x6" in data.notes


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def no_image(file: Path) -> None:
    file.write_text("<html>404</html>")


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncated, no_image, empty])
def test_a_broken_image_is_named_or_skipped(pets: Path, damage: Callable[[Path], None]) -> None:
    damage(pets / "dog/004.png")
    with pytest.raises(DataError, match=r"dog/004.png cannot be read: .*--skip-broken"):
        open_data(str(pets))
    data = open_data(str(pets), skip_broken=True)
    assert sum(data.counts.values()) == 23
    assert "1 broken image skipped: dog/004.png" in data.notes


def test_a_folder_of_broken_images_is_refused(pets: Path) -> None:
    for file in pets.rglob("*.png"):
        no_image(file)
    with pytest.raises(DataError, match="none of the 24 images can be read"):
        open_data(str(pets), skip_broken=True)


def test_a_class_of_broken_images_is_named(pets: Path) -> None:
    for file in (pets / "emu").iterdir():
        no_image(file)
    with pytest.raises(DataError, match="class 'emu' has no train images"):
        open_data(str(pets), skip_broken=True)


def nothing(root: Path) -> None:
    root.mkdir()


def flat(root: Path) -> None:
    root.mkdir()
    Image.new("L", (4, 4)).save(root / "a.png")


def flat_splits(root: Path) -> None:
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        Image.new("L", (4, 4)).save(root / split / "a.png")


def one_class(root: Path) -> None:
    write_folder(root, pixels(9, 4, 4), ("cat",))


def class_unknown_to_train(root: Path) -> None:
    write_folder(root / "train", pixels(24, 4, 4))
    write_folder(root / "test", pixels(8, 4, 4), ("cat", "dog", "emu", "yak"))


def class_missing_in_val(root: Path) -> None:
    write_folder(root / "train", pixels(24, 4, 4))
    write_folder(root / "val", pixels(8, 4, 4), ("cat", "dog"))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (nothing, "has no class folders.*<class>/<image>"),
        (flat, "has no class folders"),
        (flat_splits, "has no class folders"),
        (one_class, "one class only, 'cat'"),
        (class_unknown_to_train, "test/yak/ is there, but train/ has no class 'yak'"),
        (class_missing_in_val, "class 'emu' has no val images"),
    ],
)
def test_a_folder_that_makes_no_dataset_is_refused(
    tmp_path: Path, layout: Callable[[Path], None], message: str
) -> None:
    layout(tmp_path / "pets")
    with pytest.raises(DataError, match=f"{tmp_path / 'pets'}.*{message}"):
        open_data(str(tmp_path / "pets"))
