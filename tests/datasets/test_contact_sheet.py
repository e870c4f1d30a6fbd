"""The contact sheet shows training images of every class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.datasets import open_data
from nas.datasets.contact_sheet import contact_sheet
from nas.errors import StorageError

from .samples import Pixels, write_folder

COLOURS = {"ant": (200, 30, 30), "bee": (30, 160, 30), "cow": (30, 30, 200)}


def sheet_of(root: Path, height: int, width: int, count: int = 12) -> Pixels:
    """The sheet of a dataset in which every class has a colour of its own."""
    for name, colour in COLOURS.items():
        write_folder(root / "data", np.full((count, height, width, 3), colour, np.uint8), (name,))
    contact_sheet(open_data(str(root / "data")), root / "sheet.png")
    with Image.open(root / "sheet.png") as sheet:
        return np.asarray(sheet.convert("RGB"))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (40, 60), (300, 150)])
def test_every_class_has_its_row_in_order(tmp_path: Path, height: int, width: int) -> None:
    sheet = sheet_of(tmp_path, height, width)
    rows = [np.flatnonzero((sheet == colour).all(axis=-1).any(axis=1)) for colour in COLOURS.values()]
    assert all(len(row) >= 40 for row in rows)
    assert rows[0].max() < rows[1].min() <= rows[1].max() < rows[2].min()


def test_small_images_are_enlarged_without_blur(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, 8, 8)
    shown = sum(int((sheet == colour).all(axis=-1).sum()) for colour in COLOURS.values())
    assert shown == 3 * 8 * 64 * 64  # 8 training images of each class


def test_the_sheet_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        contact_sheet(open_data("digits"), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_many_classes_and_long_names_keep_the_sheet_small(tmp_path: Path) -> None:
    names = tuple(f"{number:03} {'very ' * 40}long name" for number in range(60))
    write_folder(tmp_path / "data", np.zeros((240, 8, 8), np.uint8), names)
    contact_sheet(open_data(str(tmp_path / "data")), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height < 3000
        assert sheet.width < 1200


def test_a_sheet_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot write .*sheet.png"):
        contact_sheet(open_data("digits"), tmp_path / "nowhere" / "sheet.png")
