"""Images of any kind become 8-bit grey or RGB, upright, and of the size asked for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nas.datasets.convert import Picture, convert

RED, HALF_RED, BLUE, BLACK = [255, 0, 0], [128, 0, 0], [0, 0, 255], [0, 0, 0]


def stored(path: Path, image: Image.Image, **options: object) -> Picture:
    """The image after a round trip through a file, as a user's image comes."""
    image.save(path, **options)  # type: ignore[arg-type]
    with Image.open(path) as opened:
        return convert(opened, None)


def grey_palette() -> Image.Image:
    image = Image.new("P", (2, 2), 200)
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


def colour_palette() -> Image.Image:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([*BLUE, *RED])
    return image


def transparent_palette() -> Image.Image:
    """Red that cannot be seen, beside blue."""
    image = colour_palette()
    image.putpixel((1, 1), 0)
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "name", "pixel", "remark"),
    [
        (Image.new("RGB", (2, 2), "red"), "a.png", RED, None),
        (Image.new("L", (2, 2), 7), "a.png", [7], None),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 128)), "a.png", HALF_RED, "RGBA image blended onto black"),
        (Image.new("LA", (2, 2), (255, 128)), "a.png", [128], "LA image blended onto black"),
        (Image.new("1", (2, 2), 1), "a.png", [255], "1-bit image converted to grey"),
        (Image.new("I;16", (2, 2), 65535), "a.png", [255], "16-bit image reduced to 8 bits"),
        (Image.new("I;16", (2, 2), 257 * 9), "a.tif", [9], "16-bit image reduced to 8 bits"),
        (Image.new("I", (2, 2), 257 * 9), "a.tif", [9], "16-bit image reduced to 8 bits"),
        (colour_palette(), "a.png", RED, "palette image converted to RGB"),
        (grey_palette(), "a.gif", [200], "palette image converted to grey"),
        (transparent_palette(), "a.png", BLACK, "transparent palette image blended onto black"),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "a.tif", RED, "CMYK image converted to RGB"),
        (Image.new("HSV", (2, 2), (0, 255, 255)), None, RED, "HSV image converted to RGB"),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_kind_of_image_becomes_grey_or_rgb(
    tmp_path: Path, image: Image.Image, name: str | None, pixel: list[int], remark: str | None
) -> None:
    picture = stored(tmp_path / name, image) if name else convert(image, None)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (2, 2, len(pixel))
    assert picture.pixels[0, 0].tolist() == pixel
    remarks = [" ".join(remark) for remark in picture.remarks]
    assert len(remarks) == (remark is not None)
    assert remark is None or remarks[0].startswith(remark)


@pytest.mark.parametrize(
    ("image", "name"),
    [(Image.new("F", (2, 2), 0.5), "a.tif"), (Image.new("I", (2, 2), 70000), "a.tif")],
    ids=["float", "32 bits"],
)
def test_values_without_a_known_range_are_refused(tmp_path: Path, image: Image.Image, name: str) -> None:
    with pytest.raises(ValueError, match=r"range|outside"):
        stored(tmp_path / name, image)


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    image = Image.new("L", (4, 2), 0)
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    picture = stored(tmp_path / "a.png", image, exif=exif)
    assert picture.pixels.shape == (4, 2, 1)
    assert picture.pixels[0, 1] == 255
    assert "upright" in picture.remarks[0].done


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2), level) for level in (10, 20)]
    picture = stored(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert picture.pixels[0, 0] == 10
    assert "first frame" in picture.remarks[0].done


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (20, 20), (4, 6), (8, 8)])
def test_resizing_keeps_the_proportions_and_the_centre(width: int, height: int) -> None:
    image = Image.new("L", (width, height), 0)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    ImageDraw.Draw(image).rectangle((left, top, left + side - 1, top + side - 1), 255)
    picture = convert(image, 8)
    assert picture.pixels.shape == (8, 8, 1)
    assert picture.pixels.min() > 150  # bicubic interpolation looks a little over the edge
    assert picture.size == (width, height)


def test_resizing_smooths_fine_detail() -> None:
    chequered = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    picture = convert(Image.fromarray(chequered.astype(np.uint8)), 8)
    assert np.abs(picture.pixels.astype(int) - 127).max() < 10


def test_a_large_jpeg_comes_out_as_if_it_were_decoded_in_full(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((800, 500), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as whole, Image.open(tmp_path / "a.jpg") as reduced:
        whole.load()
        full, quick = convert(whole, 100), convert(reduced, 100)
    assert quick.size == (800, 500)
    assert np.abs(full.pixels.astype(int) - quick.pixels).mean() < 2
