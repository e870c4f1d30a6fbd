"""Which files are images, and which of them can be read: by their content, whatever their metadata say."""

import os
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nas.datasets import ImageData, open_data
from nas.datasets.rules import FIRST
from nas.errors import DataError

from .samples import pixels, write_folder

PICTURE = Image.fromarray(pixels(1, 16, 16, 3)[0]).resize((4, 4), Image.Resampling.BOX)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Eight 4x4 coloured images each of a cat, a dog and an emu."""
    write_folder(tmp_path / "pets", pixels(24, 4, 4, 3))
    return tmp_path / "pets"


def images(data: ImageData) -> set[bytes]:
    splits = (data.train, data.val, data.open_test())
    return {image.tobytes() for split in splits for image in split.images}


def text(key: str, value: str, **options: bool) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value, **options)
    return info


JUNK = b"no TIFF at all"
PROFILE = "\nexif\n  4\nzz zz\n"
LARGE = "x" * (2 << 20)

KINDS: dict[str, Callable[[Path], object]] = {
    ".jfif": lambda file: PICTURE.save(file.with_suffix(".jfif"), "JPEG"),
    ".jfi": lambda file: PICTURE.save(file.with_suffix(".jfi"), "JPEG"),
    ".mpo": lambda file: PICTURE.save(file.with_suffix(".mpo"), save_all=True, append_images=[PICTURE]),
    ".dib": lambda file: PICTURE.save(file.with_suffix(".dib")),
    ".apng": lambda file: PICTURE.save(file.with_suffix(".apng"), "PNG"),
    ".j2k": lambda file: PICTURE.save(file.with_suffix(".j2k")),
    ".jpx": lambda file: PICTURE.save(file.with_suffix(".jpx"), "JPEG2000"),
    ".ico": lambda file: PICTURE.save(file.with_suffix(".ico"), sizes=[(4, 4)]),
    "no suffix": lambda file: PICTURE.save(file, "PNG"),
    "png eXIf": lambda file: PICTURE.save(file.with_suffix(".png"), exif=JUNK),
    "png raw profile": lambda file: PICTURE.save(
        file.with_suffix(".png"), pnginfo=text("Raw profile type exif", PROFILE)
    ),
    "png large text": lambda file: PICTURE.save(file.with_suffix(".png"), pnginfo=text("t", LARGE, zip=True)),
    "png large profile": lambda file: PICTURE.save(file.with_suffix(".png"), icc_profile=LARGE.encode()),
    "webp exif": lambda file: PICTURE.save(file.with_suffix(".webp"), exif=JUNK),
    "lab": lambda file: Image.new("LAB", (4, 4), (128, 128, 128)).save(file.with_suffix(".tif")),
}


@pytest.mark.parametrize("save", KINDS.values(), ids=KINDS)
def test_it_is_read_now_and_older_studies_see_what_they_saw(
    pets: Path, save: Callable[[Path], object]
) -> None:
    before = open_data(str(pets), rules=FIRST)
    save(pets / "cat" / "odd")
    data = open_data(str(pets))
    assert sum(data.counts.values()) == 25
    assert len(images(data) - images(before)) == 1
    again = open_data(str(pets), skip_broken=True, rules=FIRST)
    assert images(again) == images(before)


def test_heic_names_what_reads_it(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    (pets / "cat" / "1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    with pytest.raises(DataError, match=r"cat/1.heic cannot be read: .*pip install 'optuna-nas\[heif\]'"):
        open_data(str(pets))
    assert sum(open_data(str(pets), skip_broken=True).counts.values()) == 24


def test_heic_is_read(pets: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra [heif] is not installed")
    heif.from_pillow(PICTURE.resize((64, 64))).save(pets / "cat" / "1.heic")
    assert sum(open_data(str(pets), image_size=4).counts.values()) == 25


def test_no_program_is_started_for_an_image(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*arguments: object, **named: object) -> None:
        pytest.fail("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", start)
    PICTURE.save(pets / "cat" / "a.png", "EPS")
    for rules in (FIRST, 2):
        with pytest.raises(DataError, match=r"cat/a.png cannot be read"):
            open_data(str(pets), rules=rules)


@pytest.mark.parametrize("orientation", [9, 99, 0])
def test_an_orientation_that_there_is_not_turns_nothing(pets: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(pets / "cat" / "a.png", exif=exif)
    data = open_data(str(pets))
    assert np.asarray(PICTURE).tobytes() in images(data)
    assert data.notes == ()


def test_only_so_many_pixels_are_read_as_are_allowed(pets: Path) -> None:
    PICTURE.resize((5, 5)).save(pets / "cat" / "a.webp")
    with pytest.raises(
        DataError, match=r"cat/a.webp cannot be read: .* the 24 that are allowed; .*--max-pixels"
    ):
        open_data(str(pets), image_size=4, max_pixels=24)
    assert sum(open_data(str(pets), image_size=4, max_pixels=25).counts.values()) == 25
    skipped = open_data(str(pets), image_size=4, max_pixels=24, skip_broken=True)
    assert sum(skipped.counts.values()) == 24


def test_a_photo_of_100_megapixels_gives_no_warning_and_pillow_keeps_its_limits(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 99)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(open_data(str(pets)).counts.values()) == 24
    assert (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK) == (15, 99)


@pytest.mark.parametrize(
    ("name", "target"),
    [("9.png", "/nowhere/9.png"), ("again", ".."), ("up", "../.."), ("self.png", "self.png")],
)
def test_a_link_that_leads_nowhere_or_back_is_a_broken_image(pets: Path, name: str, target: str) -> None:
    (pets / "cat" / name).symlink_to(target)
    with pytest.raises(DataError, match=rf"cat/{name} cannot be read: it is a link .*--skip-broken") as error:
        open_data(str(pets))
    assert len(str(error.value)) < 200 + len(str(pets))
    data = open_data(str(pets), skip_broken=True)
    assert sum(data.counts.values()) == 24
    assert data.notes == (f"1 broken image skipped: cat/{name}",)


def test_links_between_folders_are_followed_and_two_that_meet_are_a_loop(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    PICTURE.save(tmp_path / "more" / "1.png")
    (pets / "cat" / "more").symlink_to(tmp_path / "more")
    assert sum(open_data(str(pets)).counts.values()) == 25
    (tmp_path / "more" / "back").symlink_to(pets / "cat")
    with pytest.raises(DataError, match=r"cat/more/back cannot be read: it is a link to .* it lies in"):
        open_data(str(pets))


def test_what_is_no_image_is_left_out_and_said(pets: Path) -> None:
    (pets / "LICENSE").symlink_to("nowhere.txt")
    (pets / "cat" / "README").write_text("\xff\xd8 or so", "latin-1")
    (pets / "cat" / "a.png.bak").write_bytes((pets / "cat" / "000.png").read_bytes())
    os.mkfifo(pets / "cat" / "live.jpg")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(pets / "cat" / "s.png"))
        data = open_data(str(pets))
    assert sum(data.counts.values()) == 24
    assert data.notes == (
        "2 files of no image type left out, such as cat/README",
        "3 files without content (links that lead nowhere, pipes, devices) left out, such as LICENSE",
    )


def test_broken_images_do_not_take_the_place_of_the_only_ones_that_validate(tmp_path: Path) -> None:
    write_folder(tmp_path / "few", pixels(9, 4, 4))
    for kind in ("cat", "dog", "emu"):
        for index in range(90, 96):
            (tmp_path / "few" / kind / f"{index}.png").write_text("no image")
    data = open_data(str(tmp_path / "few"), skip_broken=True)
    assert data.counts == {"train": 3, "val": 3, "test": 3}
    assert data.notes == ("18 broken images skipped: cat/90.png, cat/91.png, cat/92.png and others",)
