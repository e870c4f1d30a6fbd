"""model.py looks at an image as the network's dataset did, and says what it shows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from nas.datasets.convert import convert
from nas.datasets.image_files import MAX_PIXELS, MAX_TEXT, SUFFIXES, allowing
from tests.exporters.samples import Shape, imported, simple

Load = Callable[[Shape], ModuleType]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """The model.py of a network for images of a shape."""
    return cache(lambda shape: imported(simple(shape), tmp_path_factory.mktemp("model")))


def picture(mode: str, size: tuple[int, int]) -> Image.Image:
    """Random pixels, smoothed so that JPEG keeps them, in any mode."""
    width, height = size
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 4), dtype=np.uint8), "RGBA")
    rgba = small.resize(size, Image.Resampling.BICUBIC)
    if mode in ("I", "I;16", "I;16B"):
        values = rng.integers(0, 65536, (height, width))
        return Image.fromarray(values.astype({"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]))
    if mode == "grey palette":
        grey = rgba.convert("L").convert("P")
        grey.putpalette([level for level in range(256) for _ in range(3)])
        return grey
    if mode == "transparent palette":
        palette = rgba.convert("RGB").convert("P")
        palette.info["transparency"] = palette.getpixel((0, 0))
        return palette
    if mode == "transparent RGB":
        rgb = rgba.convert("RGB")
        rgb.info["transparency"] = rgb.getpixel((0, 0))
        return rgb
    return rgba.convert("RGB").convert(mode) if mode in ("P", "HSV") else rgba.convert(mode)


MODES = [
    *[("1", "png"), ("L", "png"), ("L", "jpg"), ("LA", "png"), ("RGB", "png"), ("RGB", "jpg")],
    *[("RGBA", "png"), ("P", "png"), ("P", "gif"), ("grey palette", "gif"), ("transparent palette", "png")],
    *[("transparent RGB", "png"), ("I", "tif"), ("I;16", "png"), ("I;16B", "tif"), ("CMYK", "jpg")],
    *[("CMYK", "tif"), ("YCbCr", "tif"), ("YCbCr", "jpg"), ("RGBA", "webp")],
]
SIZES = [(8, 8), (40, 30), (7, 19), (3, 2), (300, 200)]


def expected(path: Path, module: ModuleType, side: int | None) -> torch.Tensor:
    """What the dataset of the network would have given to the training."""
    with Image.open(path) as opened:
        pixels = convert(opened, side).pixels
    shape = (module.HEIGHT, module.WIDTH, module.CHANNELS)
    scaled = torch.tensor(np.broadcast_to(pixels, shape) / 255, dtype=torch.float32)
    return ((scaled - torch.tensor(module.MEAN)) / torch.tensor(module.STD)).permute(2, 0, 1)


@pytest.mark.parametrize("orientation", [1, 6], ids=["upright", "turned"])
@pytest.mark.parametrize(("mode", "suffix"), MODES, ids=[f"{mode}.{suffix}" for mode, suffix in MODES])
def test_an_image_is_prepared_as_the_dataset_prepared_it(
    tmp_path: Path, load: Load, mode: str, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if suffix != "gif" and orientation > 1 else {}
    for size in SIZES:
        path = tmp_path / f"{size[0]}.{suffix}"
        picture(mode, size).save(path, **options)
        with Image.open(path) as opened:
            grey = convert(opened, 8).pixels.shape[-1] == 1
        for shape in [(3, 8, 8), (3, 50, 50)] + ([(1, 8, 8)] if grey else []):
            module = load(shape)
            prepared = module.preprocess(path)
            assert prepared.dtype == torch.float32
            assert prepared.shape == shape
            torch.testing.assert_close(prepared, expected(path, module, shape[1]), rtol=0, atol=1e-6)


ODD: dict[str, Callable[[Path, Image.Image], object]] = {
    "a.jfif": lambda file, image: image.save(file, "JPEG"),
    "a.mpo": lambda file, image: image.save(file, save_all=True, append_images=[image]),
    "a.ico": lambda file, image: image.save(file, sizes=[(8, 8)]),
    "lab.tif": lambda file, image: Image.new("LAB", (8, 8), (128, 128, 128)).save(file),
    "exif.png": lambda file, image: image.save(file, exif=b"no TIFF at all"),
    "exif.webp": lambda file, image: image.save(file, exif=b"no TIFF at all"),
    "profile.png": lambda file, image: image.save(file, icc_profile=bytes(2 << 20)),
}


@pytest.mark.parametrize("name", ODD)
def test_what_the_dataset_reads_is_read_here_too(tmp_path: Path, load: Load, name: str) -> None:
    path, module = tmp_path / name, load((3, 8, 8))
    ODD[name](path, picture("RGB", (8, 8)))
    with allowing(MAX_PIXELS):
        torch.testing.assert_close(module.preprocess(path), expected(path, module, 8), rtol=0, atol=1e-6)


def test_what_is_no_file_or_too_large_or_of_another_type_is_one_line(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, limits = load((3, 8, 8)), (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
    assert (MAX_PIXELS, MAX_TEXT, tuple(SUFFIXES)) == (module.MAX_PIXELS, module.MAX_TEXT, module.TYPES)
    monkeypatch.setattr(module, "MAX_PIXELS", 64)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    os.mkfifo(tmp_path / "live.jpg")
    picture("RGB", (9, 8)).save(tmp_path / "large.png")
    picture("RGB", (8, 8)).save(tmp_path / "eps.png", "EPS")
    (tmp_path / "a.heic").touch()
    names = ["live.jpg", "large.png", "eps.png", "a.heic"]
    assert call(module, monkeypatch, *(tmp_path / name for name in names)) == 2
    lines = capsys.readouterr().err.splitlines()
    reasons = ["it is a pipe", "more pixels than MAX_PIXELS", "cannot identify", "pip install pillow-heif"]
    assert [reason in line for reason, line in zip(reasons, lines, strict=True)] == [True] * 4
    assert limits == (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)


def test_images_that_are_no_squares_stay_what_they_are(tmp_path: Path, load: Load) -> None:
    picture("RGB", (12, 7)).save(tmp_path / "a.png")
    module = load((3, 7, 12))
    prepared = module.preprocess(tmp_path / "a.png")
    torch.testing.assert_close(prepared, expected(tmp_path / "a.png", module, None), rtol=0, atol=1e-6)


def test_a_network_for_grey_images_sees_colours_as_grey(tmp_path: Path, load: Load) -> None:
    image = picture("RGB", (8, 8))
    image.convert("L").save(tmp_path / "a.png")
    module = load((1, 8, 8))
    assert torch.equal(module.preprocess(image), module.preprocess(tmp_path / "a.png"))


@pytest.mark.parametrize(
    "image", [Image.new("F", (2, 2), 0.5), Image.new("I", (2, 2), 70000)], ids=["F", "I"]
)
def test_values_without_a_known_range_are_refused(load: Load, image: Image.Image) -> None:
    with pytest.raises(ValueError, match=r"range|outside"):
        load((1, 8, 8)).preprocess(image)


def test_predict_gives_the_probability_of_every_class_the_likeliest_first(load: Load) -> None:
    module, image = load((1, 8, 8)), picture("RGB", (20, 30))
    model = module.load()
    predicted = model.predict(image)
    with torch.no_grad():
        logits = model(module.preprocess(image)[None])[0]
    assert sorted(predicted) == ["cat", "dog", "emu"]
    assert list(predicted.values()) == sorted(predicted.values(), reverse=True)
    assert sum(predicted.values()) == pytest.approx(1)
    assert next(iter(predicted)) == module.CLASSES[logits.argmax()]
    assert image.size == (20, 30)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    imported(simple(), tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "__pycache__", ignore_errors=True)
    return tmp_path / "out"


def call(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["model.py", *map(str, arguments)])
    code: int = module.main()
    return code


def test_the_command_reports_good_missing_and_broken_images(tmp_path: Path, exported: Path) -> None:
    picture("RGB", (20, 30)).save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:200])
    (tmp_path / "text.png").write_text("no image")
    picture("RGB", (20, 30)).save(tmp_path / "broken.tif", compression="tiff_lzw")
    half = (tmp_path / "broken.tif").stat().st_size // 2
    os.truncate(tmp_path / "broken.tif", half)
    command = [sys.executable, exported / "model.py"]
    names = ["good.png", "missing.png", "broken.png", "text.png", "broken.tif", "out", "good.png"]
    run = subprocess.run([*command, *names], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    reports = run.stdout.split("good.png\n")[1:]
    assert len(reports) == 2
    assert reports[0] == reports[1]
    rows = [line.split() for line in reports[0].splitlines()]
    assert sorted(name for _, _, name in rows) == ["cat", "dog", "emu"]
    assert sum(float(percent) for percent, _, _ in rows) == pytest.approx(100, abs=0.2)
    errors = run.stderr.splitlines()
    assert [line.split(" cannot be read: ")[0] for line in errors] == names[1:-1]
    assert "No such file" in errors[0]
    assert "identify image file" in errors[2]


def test_the_command_prints_the_five_likeliest_classes(tmp_path, monkeypatch, capsys):
    picture("L", (8, 8)).save(tmp_path / "good.png")
    module = imported(simple(classes=tuple("abcdefg")), tmp_path / "out")
    assert call(module, monkeypatch, tmp_path / "good.png") == 0
    name, *rows = capsys.readouterr().out.splitlines()
    assert name == str(tmp_path / "good.png")
    likeliest = list(module.load().predict(tmp_path / "good.png"))[:5]
    assert [row.split()[-1] for row in rows] == likeliest


def test_the_command_prints_class_names_that_no_terminal_can_show(tmp_path, monkeypatch, capsys):
    picture("L", (8, 8)).save(tmp_path / "good.png")
    module = imported(simple(classes=("cat", "\udcff")), tmp_path / "out")
    assert call(module, monkeypatch, tmp_path / "good.png") == 0
    assert r"\udcff" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=["nothing", "help"])
def test_the_command_explains_itself(load, monkeypatch, capsys, arguments):
    with pytest.raises(SystemExit) as exit:
        call(load((1, 8, 8)), monkeypatch, *arguments)
    output = capsys.readouterr()
    assert exit.value.code == (0 if arguments else 2)
    assert "usage: model.py" in output.out + output.err


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff" * 100, "half"], ids=["missing", "empty", "other", "half"]
)
def test_weights_that_cannot_be_read_are_one_clear_line(tmp_path, exported, monkeypatch, capsys, content):
    module = imported(simple(), exported)
    weights = exported / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if content is not None:
        weights.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert call(module, monkeypatch, "a.png") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("model.safetensors cannot be read: ")
