"""`nas data` tells what is wrong with images before they are searched with."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.datasets import open_data
from nas.datasets.look import look
from tests.conftest import Nas

from .samples import pixels, write_folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Images with their splits: copies within train and across splits, of one class and two; a grey one."""
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        write_folder(tmp_path / "pets" / split, pixels(9, 4, 4, 3, seed=seed))
    for source, target in (
        ("train/cat/000.png", "train/cat/900.png"),
        ("train/cat/000.png", "test/cat/900.png"),
        ("train/cat/003.png", "test/dog/901.png"),
        ("val/emu/002.png", "test/emu/902.png"),
    ):
        (tmp_path / "pets" / target).write_bytes((tmp_path / "pets" / source).read_bytes())
    nearly = np.full((4, 4, 3), 100, np.uint8)
    nearly[0, 0] += 3
    Image.fromarray(nearly).save(tmp_path / "pets/train/emu/999.png")
    return tmp_path / "pets"


def test_copies_leaks_contradictions_and_flat_images_are_found(pets: Path) -> None:
    seen = look(open_data(str(pets)))
    assert seen.within == {"train": 1, "val": 0, "test": 0}
    assert seen.leaks == {("train", "val"): 0, ("train", "test"): 2, ("val", "test"): 1}
    (contradiction,) = seen.contradictions
    assert [image.name for image in contradiction] == ["train/cat/003.png", "test/dog/901.png"]
    assert [image.name for image in seen.flat] == ["train/emu/999.png"]
    assert (seen.sizes, seen.resized) == ({(4, 4): 32}, 0)


def test_they_are_said_in_words_and_as_json(pets: Path, nas: Nas) -> None:
    code, out, _ = nas("data", pets)
    text = " ".join(out.split())
    assert code == 0
    for said in (
        "A leak: 2 test images with the pixels of train images, such as test/cat/900.png and train/cat/0",
        "A leak: 1 test image with the pixels of val images",
        "1 copy within train, such as train/cat/900.png of train/cat/000.png.",
        "1 image with several labels, such as train/cat/003.png and test/dog/901.png",
        "1 image of nearly one colour, such as train/emu/999.png.",
        "Images come as 4x4; none is resized.",
    ):
        assert said in text
    told = json.loads(nas("data", pets, "--json")[1])
    assert told["counts"] == {"train": 11, "val": 9, "test": 12}
    assert told["classes"] == ["cat", "dog", "emu"]
    assert told["duplicates"]["across"] == {"train-val": 0, "train-test": 2, "val-test": 1}
    assert told["duplicates"]["examples"][0][0] == "train: train/cat/000.png"
    assert told["nearly_constant"] == {"images": 1, "examples": ["train: train/emu/999.png"]}
    assert told["fingerprint"] == open_data(str(pets)).fingerprint


def test_a_set_without_faults_has_no_warnings(tmp_path: Path, nas: Nas) -> None:
    write_folder(tmp_path / "pets", pixels(24, 4, 4))
    seen = look(open_data(str(tmp_path / "pets")))
    assert (seen.copies, seen.flat, sum(seen.within.values()), sum(seen.leaks.values())) == ((), (), 0, 0)
    out = nas("data", tmp_path / "pets")[1]
    assert not any(word in out for word in ("leak", "copy", "labels", "colour"))


def test_sizes_that_differ_are_shown_with_what_a_search_needs(tmp_path: Path, nas: Nas) -> None:
    write_folder(tmp_path / "pets", pixels(12, 6, 8, 3))
    write_folder(tmp_path / "pets", pixels(12, 20, 30, 3, seed=1), suffix="bmp")
    code, out, _ = nas("data", tmp_path / "pets")
    assert code == 0
    assert "Images come in 2 sizes, from 8x6 to 30x20; 24 are resized to 64x64." in out
    assert "A search needs --image-size N" in out
    told = json.loads(nas("data", tmp_path / "pets", "--image-size", 8, "--json")[1])
    assert told["sizes"] == [
        {"width": 8, "height": 6, "images": 12},
        {"width": 30, "height": 20, "images": 12},
    ]
    assert told["resized"] == 24


def test_what_an_older_nas_has_decoded_is_looked_at_without_names_and_sizes(pets: Path) -> None:
    data = open_data(str(pets))
    sums = json.loads((data.folder / "sums.json").read_text())
    for file in data.folder.glob("*.json"):
        if file.name.endswith("_names.json") or file.name == "sizes.json":
            file.unlink()
            del sums[file.name]
    (data.folder / "sums.json").write_text(json.dumps(sums))
    again = open_data(str(pets))
    seen = look(again)
    assert again == data
    assert [image.name for image in seen.flat] == ["train image 10"]
    assert (seen.to_json()["sizes"], seen.resized) == (None, None)


def test_a_table_is_looked_at_by_its_columns(tmp_path: Path, nas: Nas) -> None:
    write_folder(tmp_path / "pets", pixels(24, 4, 4))
    rows = [f"{p.name},{p.parent.name},{p.stem}" for p in (tmp_path / "pets").rglob("*.png")]
    (tmp_path / "table.csv").write_text("\n".join(["file,a,b", *rows]))
    flags = ("--columns", "label=a", "--columns=group=b", "--root", tmp_path / "pets", "--json")
    told = json.loads(nas("data", "table.csv", *flags)[1])
    assert told["classes"] == ["cat", "dog", "emu"]
    assert any(note.startswith("24 groups kept together") for note in told["notes"])
