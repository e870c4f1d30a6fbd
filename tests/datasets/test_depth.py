"""Depth of images: 16 bits and any number of channels are kept where that is asked for, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.datasets import open_data
from nas.datasets.contact_sheet import contact_sheet
from nas.datasets.image_files import MAX_PIXELS
from nas.datasets.look import look
from nas.datasets.source import Settings
from nas.errors import DataError

from .samples import deep_pixels, labels, pixels

Array = NDArray[Any]
COUNT = 24
GREY, BANDS = deep_pixels(COUNT, 6, 5), deep_pixels(COUNT, 6, 5, 4)


def save_pages(path: Path, image: Array) -> None:
    """A TIFF with a page for each channel."""
    first, *others = (Image.fromarray(image[..., each]) for each in range(image.shape[-1]))
    first.save(path, save_all=True, append_images=others)


def write(root: Path, images: Array, suffix: str, save: Callable[[Path, Array], Any]) -> str:
    for index, image in enumerate(images):
        path = root / "scans" / "abc"[index % 3] / f"{index:03}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, image)
    return str(root / "scans")


def png(path: Path, image: Array) -> None:
    Image.fromarray(image).save(path)


def archive(root: Path, images: Array, name: str = "scans.npz") -> str:
    np.savez(root / name, images=images, labels=labels(len(images)))
    return str(root / name)


KEPT: dict[str, tuple[Callable[[Path], str], Array]] = {
    "png": (lambda root: write(root, GREY, ".png", png), GREY[..., None]),
    "tiff": (lambda root: write(root, GREY, ".tif", png), GREY[..., None]),
    "tiff of another order of bytes": (
        lambda root: write(root, GREY, ".tif", lambda path, image: png(path, image.astype(">u2"))),
        GREY[..., None],
    ),
    "pages": (lambda root: write(root, BANDS, ".tif", save_pages), BANDS),
    "pages of 8 bits": (
        lambda root: write(root, pixels(COUNT, 4, 4, 2), ".tif", save_pages),
        pixels(COUNT, 4, 4, 2),
    ),
    "grey of 8 bits": (lambda root: write(root, pixels(COUNT, 4, 4), ".png", png), pixels(COUNT, 4, 4, 1)),
    "RGB": (lambda root: write(root, pixels(COUNT, 4, 4, 3), ".png", png), pixels(COUNT, 4, 4, 3)),
    "npy": (lambda root: write(root, BANDS, ".npy", np.save), BANDS),
    "npy of other integers": (lambda root: write(root, BANDS.astype(">i8"), ".npy", np.save), BANDS),
    "npz": (lambda root: archive(root, BANDS), BANDS),
    "npz without channels": (lambda root: archive(root, GREY), GREY[..., None]),
    "npz of two channels of 8 bits": (
        lambda root: archive(root, pixels(COUNT, 4, 4, 2)),
        pixels(COUNT, 4, 4, 2),
    ),
    "as many channels as pixels across": (
        lambda root: archive(root, deep_pixels(COUNT, 4, 5, 5)),
        deep_pixels(COUNT, 4, 5, 5),
    ),
    "npz of floats": (lambda root: archive(root, BANDS / np.float64(65535)), BANDS),
}


@pytest.mark.parametrize("kind", KEPT)
def test_every_bit_and_every_channel_is_kept(tmp_path: Path, kind: str) -> None:
    make, expected = KEPT[kind]
    data = open_data(make(tmp_path), depth="native")
    splits = (data.train, data.val, data.open_test())
    found = {image.tobytes() for split in splits for image in split.images}
    assert found == {image.tobytes() for image in expected}
    assert {split.images.dtype for split in splits} == {expected.dtype}
    assert (data.info.shape[0], data.info.bits) == (expected.shape[-1], 8 * expected.itemsize)
    colours = {"brightness", "contrast", "noise"} & set(data.info.augmentations)
    assert bool(colours) == (kind == "RGB")


def test_without_being_asked_8_bits_are_what_they_were(tmp_path: Path) -> None:
    source = write(tmp_path, GREY, ".png", png)
    deep, data = open_data(source, depth="native"), open_data(source)
    assert (data.info.bits, data.train.images.dtype, data.native) == (8, np.uint8, False)
    assert data.notes == ("24 16-bit images reduced to 8 bits, 65535 becoming 255",)
    assert data.fingerprint != deep.fingerprint
    assert data.split_digest == deep.split_digest


def test_folders_of_8_bits_in_the_cache_keep_their_names() -> None:
    settings = Settings(
        split_seed=0, image_size=None, skip_broken=False, max_pixels=MAX_PIXELS, rules=2, native=True
    )
    told = "Settings(split_seed=0, image_size=None, skip_broken=False, max_pixels=250000000, rules=2)"
    assert repr(settings) == repr(replace(settings, native=False)) == told


def test_images_are_resized_in_all_their_depth(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(0, 64000, 2000, dtype=np.uint16), (COUNT, 32, 32))
    source = write(tmp_path, ramp, ".png", png)
    data = open_data(source, depth="native", image_size=16)
    row = data.train.images[0, 8, :, 0].astype(int)
    assert np.abs(row[2:-2] - (1000 + 4000 * np.arange(16))[2:-2]).max() <= 1
    assert np.array_equal(row, np.sort(row))


def test_a_table_names_arrays(tmp_path: Path) -> None:
    write(tmp_path, BANDS, ".npy", np.save)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(tmp_path.rglob("*.npy"))]
    (tmp_path / "table.csv").write_text("\n".join(["image,label", *rows]))
    data = open_data(str(tmp_path / "table.csv"), depth="native")
    assert (data.info.shape, data.info.bits) == ((4, 6, 5), 16)
    assert sum(data.counts.values()) == COUNT


def two_pages(first: Image.Image, second: Image.Image) -> Callable[[Path, Array], None]:
    return lambda path, _: first.save(path, save_all=True, append_images=[second])


def odd(save: Callable[[Path, Array], Any], suffix: str = ".png") -> Callable[[Path], str]:
    """Images of 16 bits, of which the sixth is odd."""

    def make(root: Path) -> str:
        source = write(root, GREY, ".png", png)
        (root / "scans/c/005.png").unlink()
        save(root / f"scans/c/005{suffix}", GREY[5])
        return source

    return make


def image(mode: str, *size: int) -> Image.Image:
    return Image.new(mode, size or (5, 6))


REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "8 bits among 16": (
        odd(lambda path, _: image("L").save(path)),
        r"a/000\.png has 1 channel of 16 bits, c/005\.png has 1 channel of 8 bits.*--depth 8bit",
    ),
    "colours among grey": (
        odd(lambda path, _: image("RGB").save(path)),
        r"a/000\.png has 1 channel of 16 bits, c/005\.png has 3 channels of 8 bits.*--depth 8bit",
    ),
    "more channels": (
        odd(lambda path, _: np.save(path, BANDS[0]), ".npy"),
        r"c/005\.npy has 4 channels of 16 bits",
    ),
    "pages of two sizes": (
        odd(two_pages(image("L"), image("L", 4, 4)), ".tif"),
        r"c/005\.tif cannot be read: page 2 is 4x4 of 8 bits and page 1 is 5x6 of 8 bits.*--depth 8bit",
    ),
    "pages of two depths": (
        odd(two_pages(image("L"), image("I;16")), ".tif"),
        r"page 2 is 5x6 of 16 bits and page 1 is 5x6 of 8 bits",
    ),
    "pages of colours": (odd(two_pages(image("L"), image("RGB")), ".tif"), r"page 2 has mode RGB"),
    "floats without a range": (
        odd(lambda path, image: np.save(path, image.astype(np.float32)), ".npy"),
        r"c/005\.npy cannot be read: values range from \d+ to \d+; floats must lie in \[0, 1\]",
    ),
    "numbers that are none": (
        odd(lambda path, image: np.save(path, np.full((6, 5), np.nan)), ".npy"),
        r"values range from nan to nan",
    ),
    "negative numbers": (
        odd(lambda path, image: np.save(path, np.full((6, 5), -1)), ".npy"),
        r"values range from -1 to -1; integers in 0\.\.65535",
    ),
    "Python objects": (
        odd(lambda path, image: np.save(path, np.array([{}]), allow_pickle=True), ".npy"),
        r"c/005\.npy cannot be read",
    ),
    "no image": (odd(lambda path, image: np.save(path, np.zeros(6)), ".npy"), r"the array is \(6,\)"),
    "a cut file": (odd(lambda path, image: path.write_bytes(b"\x93NUMPY\x01"), ".npy"), r"c/005\.npy"),
    "a float TIFF": (odd(lambda path, _: image("F").save(path), ".tif"), r"mode F have no fixed range"),
    "channels first": (
        lambda root: archive(root, deep_pixels(COUNT, 4, 8, 8)),
        r"channels came first: they come last, so transpose\(0, 2, 3, 1\)",
    ),
    "an archive out of range": (
        lambda root: archive(root, np.full((COUNT, 6, 5), 70000)),
        r"scans\.npz: values range from 70000 to 70000; integers in 0\.\.65535",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, cache: Path, kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(DataError, match=message) as refusal:
        open_data(make(tmp_path), depth="native")
    assert "\n" not in str(refusal.value)
    assert not list(cache.rglob("*.npy"))


def test_colours_of_16_bits_are_refused_rather_than_cut(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(12))) * 2))
    content = b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")
    source = write(tmp_path, GREY, ".png", lambda path, _: path.write_bytes(content))
    with pytest.raises(DataError, match="RGB pixels have 16 bits, of which 8 would be lost"):
        open_data(source, depth="native")
    assert open_data(source).info.shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("images", "message"),
    [(BANDS[..., :2], "--depth native takes any number"), (GREY, "--depth native keeps those up to 65535")],
    ids=["channels", "values"],
)
def test_an_archive_that_is_too_deep_is_told_of_the_flag(tmp_path: Path, images: Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(archive(tmp_path, images))


def test_arrays_are_left_out_where_depth_is_not_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path, GREY, ".png", png)
    np.save(tmp_path / "scans/a/more.npy", GREY[0])
    data = open_data(source)
    assert sum(data.counts.values()) == COUNT
    assert any("more.npy" in note for note in data.notes)


def test_large_arrays_are_refused_as_large_images_are(tmp_path: Path) -> None:
    source = write(tmp_path, BANDS, ".npy", np.save)
    with pytest.raises(DataError, match=r"more pixels than the 29 that are allowed.*--max-pixels"):
        open_data(source, depth="native", max_pixels=29)
    assert open_data(source, depth="native", max_pixels=30).info.bits == 16


@pytest.mark.parametrize("images", [GREY, BANDS], ids=["grey", "channels"])
def test_a_look_and_a_sheet_take_any_depth(tmp_path: Path, images: Array) -> None:
    images = images.copy()
    images[3] = images[0]
    images[1] = 40000
    data = open_data(archive(tmp_path, images), depth="native")
    seen = look(data)
    assert len(seen.copies) == 1
    assert [each.name for each in seen.flat] == ["images[1]"]
    contact_sheet(data, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").mode == "RGB"


def test_a_sheet_of_dark_scans_is_not_black(tmp_path: Path) -> None:
    sheets = []
    for name, scans in (("bright", GREY), ("dark", GREY // 64)):
        (tmp_path / name).mkdir()
        contact_sheet(open_data(archive(tmp_path / name, scans), depth="native"), tmp_path / f"{name}.png")
        sheets.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).astype(int))
    bright, dark = sheets
    assert np.abs(bright - dark).max() < 100


def test_nas_data_tells_bits_and_channels(nas: Any, tmp_path: Path) -> None:
    source = archive(tmp_path, BANDS)
    code, out, _ = nas("data", source, "--depth", "native")
    assert (code, "4 channels of 16 bits" in out) == (0, True)
    code, out, _ = nas("data", source, "--depth", "native", "--json")
    assert '"channels": 4' in out
    assert '"bits": 16' in out


def test_spaces_and_networks_are_shown_for_deep_images(nas: Any, tmp_path: Path) -> None:
    source = archive(tmp_path, BANDS)
    asked = ("--data", source, "--depth", "native")
    assert nas("spaces", "mlp", *asked)[0] == 0
    code, out, _ = nas("inspect", "--space", "mlp", *asked)
    assert (code, "120" in out) == (0, True)  # 4 x 6 x 5 values of an image
