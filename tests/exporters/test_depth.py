"""Networks for images of 16 bits or of many channels: searched, exported, read back, and shown images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nas.errors import StorageError
from nas.exporters.pixels import normalise, with_preprocessing
from nas.exporters.runtime import Runtime
from nas.exporters.sha256sums import write_sums
from nas.exporters.use.classify import classify
from nas.exporters.use.exported import Exported
from tests.conftest import Nas
from tests.exporters.samples import Shape, imported, simple

Array = NDArray[Any]
RANDOM = np.random.default_rng(0)
WIDE = RANDOM.integers(0, 65536, (20, 24, 5), dtype=np.uint16)
"""Larger than what networks take here, which is 8 x 8."""


def deep(shape: Shape, bits: int) -> Any:
    mean, std = (
        tuple(np.linspace(0.4, 0.6, shape[0]).tolist()),
        tuple(np.linspace(0.2, 0.3, shape[0]).tolist()),
    )
    return replace(simple(shape), mean=mean, std=std, bits=bits, native=True)


def exported(shape: Shape, bits: int) -> Exported:
    model = deep(shape, bits)
    return Exported(
        folder=Path("export"),
        formats={},
        input_shape=shape,
        classes=("cat", "dog"),
        mean=model.mean,
        std=model.std,
        bits=bits,
        native=True,
        trusted=True,
    )


def pages(path: Path, image: Array) -> None:
    first, *others = (Image.fromarray(image[..., each]) for each in range(image.shape[-1]))
    first.save(path, save_all=True, append_images=others)


def png(path: Path, image: Array) -> None:
    Image.fromarray(image).save(path)


def turned(path: Path, image: Array) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(image).save(path, exif=tags)


EIGHT = RANDOM.integers(0, 256, (20, 24, 3), dtype=np.uint8)

SHOWN: dict[str, tuple[Shape, int, str, Callable[[Path, Array], Any], Array]] = {
    "16-bit grey": ((1, 8, 8), 16, "a.png", png, WIDE[..., 0]),
    "16-bit grey of its size": ((1, 8, 8), 16, "a.png", png, WIDE[:8, :8, 0]),
    "16-bit grey, no square": ((1, 6, 9), 16, "a.tif", png, WIDE[..., 0]),
    "16-bit grey as RGB": ((3, 8, 8), 16, "a.png", png, WIDE[..., 0]),
    "turned": ((1, 8, 8), 16, "a.tif", turned, WIDE[..., 0]),
    "turned PNG": ((1, 8, 8), 16, "a.png", turned, WIDE[..., 0]),
    "8-bit grey widened": ((1, 8, 8), 16, "a.png", png, EIGHT[..., 0]),
    "RGB made grey and widened": ((1, 8, 8), 16, "a.png", png, EIGHT),
    "16 bits reduced": ((1, 8, 8), 8, "a.png", png, WIDE[..., 0]),
    "pages": ((5, 8, 8), 16, "a.tif", pages, WIDE),
    "pages of 8 bits": ((2, 8, 8), 8, "a.tif", pages, EIGHT[..., :2]),
    "npy": ((5, 8, 8), 16, "a.npy", np.save, WIDE),
    "npy of its size": ((5, 8, 8), 16, "a.npy", np.save, WIDE[:8, :8]),
    "npy, other order of bytes": ((5, 8, 8), 16, "a.npy", np.save, WIDE.astype(">u2")),
    "npy, other order of values": ((5, 8, 8), 16, "a.npy", np.save, np.asfortranarray(WIDE)),
    "npy of larger integers": ((5, 8, 8), 16, "a.npy", np.save, WIDE.astype(">i8")),
    "npy of floats": ((5, 8, 8), 16, "a.npy", np.save, (WIDE / 65535).astype(np.float32)),
    "npy of 8 bits": ((2, 8, 8), 8, "a.npy", np.save, EIGHT[..., :2]),
    "npy of RGB": ((3, 8, 8), 8, "a.npy", np.save, EIGHT),
    "npy without channels": ((1, 8, 8), 16, "a.npy", np.save, WIDE[..., 0]),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_model_py_looks_at_an_image_as_nas_predict_does(tmp_path: Path, kind: str) -> None:
    shape, bits, name, save, image = SHOWN[kind]
    save(tmp_path / name, image)
    module = imported(deep(shape, bits), tmp_path / "export")
    mine = seen(exported(shape, bits), tmp_path / name)
    theirs = module.preprocess(tmp_path / name)
    assert theirs.shape == shape
    difference = (theirs - torch.from_numpy(mine)).abs().max()
    assert difference <= 1e-4
    if name.endswith(".npy") and image.dtype.isnative:
        given = module.preprocess(torch.from_numpy(np.ascontiguousarray(image)))
        assert torch.equal(given, theirs)


def seen(export: Exported, file: Path) -> NDArray[np.float32]:
    """What the network of an export is given for a file."""
    inputs: list[NDArray[np.float32]] = []

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        inputs.append(batch)
        return np.zeros((len(batch), len(export.classes)), np.float32)

    (answer,) = classify(export, Runtime(run, uint8=False), [file])
    assert answer.error is None, answer.error
    return inputs[0][0]


@pytest.mark.parametrize(
    ("shape", "name", "save", "image", "message"),
    [
        ((5, 8, 8), "a.png", png, EIGHT, "3 channels, and the network takes 5"),
        ((1, 8, 8), "a.npy", np.save, WIDE, "5 channels, and the network takes 1"),
        ((1, 8, 8), "a.npy", np.save, np.full((8, 8), 2.0), "values range from 2 to 2"),
        ((1, 8, 8), "a.npy", np.save, np.zeros(8), "array is"),
        ((5, 8, 8), "a.npy", lambda path, _: path.write_bytes(b"none"), WIDE, ""),
    ],
    ids=["channels", "too many", "values", "no image", "no array"],
)
def test_what_does_not_fit_is_told_by_both(
    tmp_path: Path, shape: Shape, name: str, save: Callable[[Path, Array], Any], image: Array, message: str
) -> None:
    save(tmp_path / name, image)
    runtime = Runtime(lambda batch: np.zeros((len(batch), 2), np.float32), uint8=False)
    (answer,) = classify(exported(shape, 16), runtime, [tmp_path / name])
    assert answer.error is not None
    assert message in answer.error
    module = imported(deep(shape, 16), tmp_path / "export")
    with pytest.raises(ValueError, match=message or "no .npy file"):
        module.preprocess(tmp_path / name)


def test_exports_of_8_bits_have_nothing_of_it(tmp_path: Path) -> None:
    module: ModuleType = imported(simple(), tmp_path)
    assert not hasattr(module, "BITS")
    assert not hasattr(module, "read_npy")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "# The pixels" not in text
    assert "\n\n\n\n" not in text


def test_raw_images_of_16_bits_are_normalised_in_the_file() -> None:
    model = deep((5, 8, 8), 16)
    model = replace(model, model=torch.nn.Flatten())
    raw = np.random.default_rng(0).integers(0, 65536, (3, 8, 8, 5), dtype=np.uint16)
    expected = normalise(raw, model.mean, model.std).reshape(3, -1)
    assert np.allclose(with_preprocessing(model)(torch.from_numpy(raw)).numpy(), expected, atol=1e-5)


def write_grey(root: Path) -> str:
    """Two classes that differ by less than one step of 8 bits."""
    for index in range(120):
        image = RANDOM.integers(30000, 30040, (8, 8))
        image[:, :4] += 60 * (index % 2)
        path = root / "scans" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        png(path, image.astype(np.uint16))
    return str(root / "scans")


def write_bands(root: Path) -> str:
    """Two classes that differ in the fifth channel alone."""
    images = np.random.default_rng(0).integers(0, 100, (120, 8, 8, 5)).astype(np.uint8)
    images[1::2, ..., 4] += 150  # plain enough for 8-bit integers to agree on all of few images
    np.savez(root / "bands.npz", images=images, labels=np.arange(120) % 2)
    np.save(root / "one.npy", images[1])
    return str(root / "bands.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "shown", "bits", "shape", "raw"),
    [
        (write_grey, "scans/b/1.png", 16, [1, 8, 8], False),
        (write_bands, "one.npy", 8, [5, 8, 8], True),
    ],
    ids=["16-bit grey", "five channels"],
)
def test_depth_comes_through_from_the_search_to_a_prediction(
    nas: Nas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], str],
    shown: str,
    bits: int,
    shape: list[int],
    raw: bool,
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path)
    settings = ("--study", "deep", "--trials", 2, "--epochs", 6, "--device", "cpu", "--workers", 1)
    assert nas("search", "--data", source, "--depth", "native", *settings)[0] == 0
    code, _, err = nas("search", "--study", "deep", "--trials", 3, "--depth", "8bit")
    assert code == 2
    assert err.startswith("nas: Study 'deep' was made with depth 'native' (asked: '8bit')")
    assert err.count("\n") == 1
    assert nas("train", "deep", "--top", 1, "--epochs", 8)[0] == 0
    flags = ("--uint8",) if raw else ()
    formats = [part for name in ("source", "torch", "onnx", "int8") for part in ("--format", name)]
    assert nas("export", "deep", "--out", "out", "--max-drop", 1, *formats, *flags)[0] == 0
    told = json.loads((tmp_path / "out/architecture.json").read_text())
    assert (told["bits"], told["native"], told["input_shape"]) == (bits, True, shape)
    report = json.loads((tmp_path / "out/verification.json").read_text())
    assert report["images"]["split"] == "validation"
    assert set(report["formats"]) == {"source", "torch", "onnx", "int8"}
    assert {report["formats"][name]["agreement"] for name in ("source", "torch", "onnx")} == {1.0}
    answers = {}
    for name in ("source", "torch", "onnx", "int8"):
        code, out, _ = nas("predict", "out", shown, "--json", "--format", name)
        assert code == 0
        answers[name] = {row["class"]: row["probability"] for row in json.loads(out)[0]["predictions"]}
    for name, chances in answers.items():
        assert chances == pytest.approx(answers["source"], abs=0.2 if name == "int8" else 1e-4)
    module = load_model(tmp_path / "out")
    assert module.load().predict(shown) == pytest.approx(answers["source"], abs=1e-4)


def load_model(folder: Path) -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "deep_model", shutil.copy(folder / "model.py", folder / "copy.py")
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OLD = {
    "input_shape": [1, 8, 8],
    "classes": ["cat", "dog"],
    "mean": [0.5],
    "std": [0.25],
    "formats": {"onnx": ["model.onnx"]},
}
"""What exports of before depth could be kept say of themselves."""


@pytest.mark.parametrize(
    ("more", "bits", "native"), [({}, 8, False), ({"bits": 16, "native": True}, 16, True)], ids=["old", "new"]
)
def test_an_export_of_before_takes_images_of_8_bits(
    tmp_path: Path, more: dict[str, Any], bits: int, native: bool
) -> None:
    opened = written(tmp_path, OLD | more)
    assert (opened.bits, opened.native) == (bits, native)


@pytest.mark.parametrize("more", [{"bits": 12}, {"bits": True}, {"bits": "8"}, {"native": 1}])
def test_a_description_of_another_depth_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(StorageError, match="bits must be 8 or 16, and native true or false"):
        written(tmp_path, OLD | more)


def written(folder: Path, content: dict[str, Any]) -> Exported:
    (folder / "model.onnx").touch()
    (folder / "architecture.json").write_text(json.dumps(content))
    write_sums(folder, {"model.onnx", "architecture.json"})
    return Exported.open(folder)
