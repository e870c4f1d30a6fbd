"""`nas predict` and `nas bench`: an export folder at work."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.datasets import ImageData
from nas.exporters import Export
from nas.exporters.use.classify import Prediction
from nas.views.terminal.predictions import print_csv
from tests.conftest import Nas


@pytest.fixture
def model(exported: Export, tmp_path: Path) -> Path:
    """A copy of the export that may be spoilt."""
    return shutil.copytree(exported.folder, tmp_path / "model")


@pytest.fixture
def pictures(tmp_path: Path, digits: ImageData) -> Path:
    """Some validation images, each called after its class, among files that are no images."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for label in range(10):
        (index, *_) = np.flatnonzero(digits.val.labels == label)
        place = folder / "deep" if label > 7 else folder
        Image.fromarray(digits.val.images[index][..., 0]).save(place / f"{label}.png")
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    return folder


@pytest.mark.parametrize("name", [None, "source", "torch", "onnx", "int8"])
def test_every_format_classifies_a_folder(nas: Nas, model: Path, pictures: Path, name: str | None) -> None:
    chosen = ("--format", name) if name else ()
    code, out, err = nas("predict", model, pictures, "--json", "--top", 3, *chosen)
    assert (code, err) == (0, f"1 file of no image type left out, such as {pictures / 'notes.txt'}\n")
    answers = json.loads(out)
    assert [Path(each["file"]).name for each in answers] == [f"{label}.png" for label in range(10)]
    right = sum(each["predictions"][0]["class"] == f"digit {Path(each['file']).stem}" for each in answers)
    assert right >= 9
    for each in answers:
        chances = [row["probability"] for row in each["predictions"]]
        assert len(chances) == 3
        assert sorted(chances, reverse=True) == chances
        assert each["notes"] == []
        assert each["error"] is None


def test_no_file_of_a_folder_is_left_out_without_a_word(nas: Nas, model: Path, pictures: Path) -> None:
    with Image.open(pictures / "3.png") as image:
        image.save(pictures / "10.jfif", "JPEG")
        image.save(pictures / "no_suffix", "PNG")
    (pictures / "11.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    (pictures / "12.jpg").symlink_to("nowhere")
    (pictures / "13.tif").symlink_to(pictures)
    os.mkfifo(pictures / "live.jpg")
    code, out, err = nas("predict", model, pictures, "--json", "--max-pixels", 64)
    answers = {Path(each["file"]).name: each["error"] for each in json.loads(out)}
    assert code == 2
    assert [name for name, error in answers.items() if error] == ["11.heic", "12.jpg", "13.tif"]
    assert len(answers) == 15
    assert {"10.jfif", "no_suffix"} < {*answers}
    assert "12.jpg cannot be read: it is a link to nowhere, which does not exist" in err
    assert "13.tif cannot be read: it is a link to " in err
    assert f"2 files of no image type left out, such as {pictures}/" in err
    code, out, err = nas("predict", model, pictures / "live.jpg", pictures / "3.png", "--max-pixels", 63)
    assert (code, out) == (2, "")
    assert "live.jpg cannot be read: it is a pipe" in err
    assert "3.png cannot be read: it has more pixels than the 63 that are allowed" in err


def test_people_and_spreadsheets_are_answered_too(nas: Nas, model: Path, pictures: Path) -> None:
    code, out, _ = nas("predict", model, pictures / "3.png", "--top", 2)
    assert code == 0
    name, first, second = out.splitlines()
    assert name == str(pictures / "3.png")
    assert first.endswith("%  digit 3")
    assert "%  digit" in second
    code, out, _ = nas("predict", model, pictures / "3.png", pictures / "4.png", "--csv", "--top", 2)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(Path(row["file"]).name, row["rank"]) for row in rows] == [
        ("3.png", "1"), ("3.png", "2"), ("4.png", "1"), ("4.png", "2"),
    ]  # fmt: skip
    assert rows[0]["class"] == "digit 3"
    assert 0 < float(rows[0]["probability"]) <= 1


ODD = {
    "=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+cmd": "'+cmd", "-1": "-1", "-1+1": "'-1+1", "\t=1": "'\t=1",
    "猫": "猫", "\udcff": "\udcff", "\x1b[2J": "\x1b[2J", "a,b": "a,b",
}  # fmt: skip
"""Class names, and the cells that they become in a file."""


def table(names: Iterable[str], encoding: str, *, terminal: bool = False) -> list[list[str]]:
    """The CSV of one image that shows all these, as who reads that encoding finds it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    seen = Prediction(file=Path("=photo.png"), probabilities=dict.fromkeys(names, 0.1), notes=("=2",))
    with redirect_stdout(stream):
        assert print_csv([seen], 99)
    stream.flush()
    content: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(content.decode(encoding, "surrogateescape"), newline="")))


def test_no_cell_is_a_formula_and_a_file_gets_names_to_the_byte() -> None:
    head, *rows = table(ODD, "utf-8")
    assert head == ["file", "rank", "class", "probability", "notes"]
    assert [row[2] for row in rows] == list(ODD.values())
    assert {(row[0], row[3], row[4]) for row in rows} == {("'=photo.png", "0.100000", "'=2")}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_letters_that_an_encoding_lacks_are_escaped_in_a_table(encoding: str) -> None:
    assert [row[2] for row in table(["猫", "cat", "\U0001f431"], encoding)[1:]] == [
        "\\u732b",
        "cat",
        "\\U0001f431",
    ]


def test_a_table_on_a_terminal_cannot_disturb_it() -> None:
    for row in table([*ODD, "\x9b31m\r"], "utf-8", terminal=True):
        assert all(cell.isprintable() for cell in row)


def test_images_of_another_size_or_mode_are_brought_to_the_networks_and_it_is_said(
    nas: Nas, model: Path, pictures: Path
) -> None:
    with Image.open(pictures / "3.png") as image:
        image.convert("RGBA").resize((40, 30)).save(pictures / "large.png")
    code, out, _ = nas("predict", model, pictures / "large.png", "--json")
    assert code == 0
    (answer,) = json.loads(out)
    assert answer["notes"] == [
        "RGBA image blended onto black",
        "40x30 cropped and resized to 8x8",
        "RGB image made grey",
    ]
    assert "(RGBA image blended onto black; 40x30" in nas("predict", model, pictures / "large.png")[1]


def test_what_cannot_be_read_is_named_and_the_rest_is_classified(
    nas: Nas, model: Path, pictures: Path
) -> None:
    (pictures / "broken.png").write_text("no image")
    Image.new("F", (8, 8)).save(pictures / "float.tif")
    files = [pictures / name for name in ("broken.png", "missing.png", "float.tif", "3.png")]
    code, out, err = nas("predict", model, *files, "--json")
    assert code == 2
    assert [each["error"] is None for each in json.loads(out)] == [False, False, False, True]
    for said in (
        "broken.png cannot be read: cannot identify",
        "missing.png cannot be read: No such",
        "mode F",
    ):
        assert said in err


def changed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.py", "model.pt2", "model.onnx", "model.int8.onnx", "labels.txt"]
)
def test_an_export_that_was_tampered_with_is_not_run(
    nas: Nas, model: Path, pictures: Path, name: str
) -> None:
    changed(model, name)
    for ask in (("predict", model, pictures), ("bench", model)):
        code, out, err = nas(*ask)
        assert (code, out) == (2, "")
        assert f"{name} changed since the export" in err


def test_a_network_of_another_label_set_is_refused(nas: Nas, model: Path, pictures: Path) -> None:
    content = json.loads((model / "architecture.json").read_text())
    (model / "architecture.json").write_text(json.dumps({**content, "classes": ["cat", "dog"]}))
    lines = [line.split("  ") for line in (model / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    sums["architecture.json"] = hashlib.sha256((model / "architecture.json").read_bytes()).hexdigest()
    (model / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    code, _, err = nas("predict", model, pictures)
    assert code == 2
    assert "gives 10 x 10 logits for 10 images, and its label set has 2 classes" in err


def test_files_may_be_taken_away_but_for_the_description(nas: Nas, model: Path, pictures: Path) -> None:
    for file in model.iterdir():
        if file.name not in ("SHA256SUMS", "architecture.json", "model.int8.onnx"):
            file.unlink()
    code, out, _ = nas("predict", model, pictures / "3.png")
    assert code == 0
    assert "digit 3" in out
    (model / "architecture.json").unlink()
    assert "cannot be used without its architecture.json" in nas("predict", model, pictures)[2]


def test_a_missing_runtime_is_named(
    nas: Nas, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert nas("predict", model, pictures / "3.png")[0] == 0, "another format will do"
    code, _, err = nas("predict", model, pictures / "3.png", "--format", "onnx")
    assert code == 2
    assert "pip install 'optuna-nas[onnx]'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "nowhere", "a.png"), "There is no folder nowhere"),
        (("predict", "pictures", "a.png"), "pictures is no export: it has no SHA256SUMS"),
        (("predict", "model", "empty"), "The folder empty holds no images"),
        (("predict", "model", "pictures", "--format", "onyx"), "Did you mean 'onnx'?"),
        (("predict", "model", "pictures", "--json", "--csv"), "not for both"),
        (("bench", "nowhere"), "There is no folder nowhere"),
        (("bench", "model", "--format", "tensorrt"), "Known: int8, onnx, source, torch"),
        (("bench", "model", "--batch-size", "0"), "Invalid value for '--batch-size'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_asked_in_vain_is_one_clear_line(
    nas: Nas, model: Path, pictures: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = nas(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_bench_measures_latency_and_throughput(nas: Nas, model: Path) -> None:
    code, out, _ = nas("bench", model, "--format", "onnx", "--threads", 1)
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith("onnx")]
    assert [row[1] for row in rows] == ["1", "64"]
    assert "1 thread of" in out
    code, out, _ = nas("bench", model, "--format", "int8", "--batch-size", 8, "--threads", 1, "--json")
    content = json.loads(out)
    assert content["threads"] == 1
    assert content["seconds"]["int8"]["8"] > 0
