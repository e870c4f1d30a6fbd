"""Every format computes what the network does, runs without us, and gives nothing away."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import nas
from nas.datasets import ImageData
from nas.errors import NasError, VerificationFailed
from nas.exporters import Export, TrainedModel, export_model
from nas.exporters.pixels import normalise
from nas.exporters.registry import load_exporter
from tests.exporters.samples import sampled, simple
from tests.grids import first_of

FORMATS = ["source", "torch", "onnx", "int8"]


def test_every_format_is_verified_on_the_whole_validation_split(exported: Export, digits: ImageData) -> None:
    assert list(exported.formats) == FORMATS
    assert not exported.left_out
    assert not exported.failures
    assert exported.reference.images == len(digits.val)
    assert exported.reference.accuracy is not None
    assert exported.reference.accuracy > 0.9
    for name, found in exported.formats.items():
        assert [each.batch_size for each in found.batches] == [1, 7, 256]
        assert found.latency.keys() == {1, 64}
        if name != "int8":
            assert found.largest_difference < 1e-4
            assert found.agreement == 1
            assert found.accuracy == exported.reference.accuracy


def test_int8_is_small_and_nearly_as_accurate(exported: Export) -> None:
    floats, integers = exported.formats["onnx"], exported.formats["int8"]
    assert integers.size < floats.size / 2
    assert integers.largest_difference > 1e-3, "it is quantized"
    assert exported.reference.accuracy is not None
    assert integers.accuracy is not None
    assert integers.accuracy >= exported.reference.accuracy - 0.01


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_a_file_takes_batches_of_any_size(
    exported: Export, reader: TrainedModel, digits: ImageData, name: str, batch_size: int
) -> None:
    runtime = load_exporter(name).load(exported.folder, 1)
    images = normalise(digits.val.images[:batch_size], reader.mean, reader.std)
    logits = runtime.run(images)
    with torch.no_grad():
        expected = reader.model(torch.from_numpy(images)).numpy()
    assert logits.shape == (batch_size, 10)
    if name == "int8":
        assert (logits.argmax(1) == expected.argmax(1)).mean() > 0.9
    else:
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", first_of(0, ["onnx", "torch", "int8"]))
def test_with_the_preprocessing_inside_raw_images_go_in(
    exported: Export, raw: Export, reader: TrainedModel, digits: ImageData, name: str
) -> None:
    images = digits.val.images[:64]
    plain, inside = (load_exporter(name).load(each.folder, 1) for each in (exported, raw))
    assert not plain.uint8
    assert inside.uint8
    expected = plain.run(plain.prepare(images, reader.mean, reader.std))
    given = inside.run(inside.prepare(images, reader.mean, reader.std))
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4 if name != "int8" else 0.5)
    assert raw.formats[name].accuracy == pytest.approx(raw.reference.accuracy, abs=0.01)


def snippets(export: Export) -> dict[str, str]:
    """The Python that the card shows, by format."""
    text = (export.folder / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"### (\w+)\n\n```python\n(.*?)```", text, re.DOTALL))


ALONE = """
import sys
for name in ("nas", "search_spaces", "optuna", *sys.argv[3].split()):
    sys.modules[name] = None  # importing it fails
import numpy
images = numpy.load(sys.argv[1])
if "torch" not in sys.argv[3].split():
    import torch
    images = torch.from_numpy(images)
{snippet}
logits = logits if isinstance(logits, numpy.ndarray) else logits.detach().numpy()
numpy.save(sys.argv[2], logits)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("source", "safetensors onnx"),
        pytest.param("torch", "onnx safetensors", marks=pytest.mark.slow),
        pytest.param("onnx", "torch onnx", marks=pytest.mark.slow),
        pytest.param("int8", "torch onnx", marks=pytest.mark.slow),
    ],
)
def test_the_lines_of_the_card_run_each_file_where_there_is_no_nas(
    exported: Export,
    raw: Export,
    digits: ImageData,
    reader: TrainedModel,
    tmp_path: Path,
    name: str,
    absent: str,
) -> None:
    export = exported if name in ("source", "onnx") else raw
    images = np.array(digits.val.images[:7])
    np.save(tmp_path / "in.npy", images if export is raw else normalise(images, reader.mean, reader.std))
    program = ALONE.format(snippet=snippets(export)[name])
    arguments = [str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), absent]
    run = subprocess.run(
        [sys.executable, "-B", "-c", program, *arguments], cwd=export.folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    with torch.no_grad():
        expected = reader.model(torch.from_numpy(normalise(images, reader.mean, reader.std))).numpy()
    atol = 1e-4 if name != "int8" else 2.0  # a step of its logits is half of one
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("which", ["exported", "raw"])
def test_no_file_gives_away_a_path_or_an_image(
    request: pytest.FixtureRequest, digits: ImageData, reader: TrainedModel, which: str
) -> None:
    export: Export = request.getfixturevalue(which)
    private = [str(export.folder.parent), str(Path.home()), str(Path(nas.__file__).parents[1]), sys.prefix]
    private += [f"/{getpass.getuser()}/", "site-packages", str(digits.folder), "/tmp"]
    needles = [text.encode() for text in private]
    for split in (digits.train, digits.val):
        for pixels in split.images[:50]:
            needles.append(pixels.tobytes())
            needles.append(normalise(pixels[None], reader.mean, reader.std).tobytes())
    for file in export.folder.iterdir():
        content = file.read_bytes()
        assert [needle for needle in needles if needle in content] == [], file.name


def test_the_checksums_are_those_of_every_file(exported: Export) -> None:
    lines = (exported.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == set(exported.files) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((exported.folder / name).read_bytes()).hexdigest() == digest


def test_the_card_tells_what_there_is_to_know(
    exported: Export, reader: TrainedModel, digits: ImageData
) -> None:
    card = (exported.folder / "README.md").read_text()
    accuracy = f"{exported.reference.accuracy:.4f}"
    for said in (
        "# Trial 7 of mine-pets",
        "grey images of 8 x 8 pixels into 10 classes: digit 0, digit 1,",
        "search space `mine` (version 2)",
        f"| parameters | {reader.layers.parameters:,} |",
        f"| multiply-adds for one image | {reader.layers.multiply_adds:,} |",
        "| in the search | validation | 0.8750 |",
        "| retrained | – | not retrained",
        f"| in PyTorch, before the export | validation | {accuracy} |",
        f"| exported: onnx | validation | {accuracy} |",
        digits.split_digest,
        digits.fingerprint,
        f"| train images | {len(digits.train):,} |",
        "1 thread",
        "![The network](architecture.svg)",
    ):
        assert said in card
    assert list(snippets(exported)) == FORMATS
    slower = exported.formats["int8"].latency[1] > exported.formats["onnx"].latency[1]
    assert slower <= ("int8 is slower here" in card)


def test_labels_drawing_and_report_lie_beside_the_files(exported: Export, digits: ImageData) -> None:
    labels = (exported.folder / "labels.txt").read_text().splitlines()
    assert labels == [f"digit {number}" for number in range(10)]
    assert ElementTree.parse(exported.folder / "architecture.svg").getroot().tag.endswith("svg")
    report = json.loads((exported.folder / "verification.json").read_text())
    assert report["images"]["count"] == len(digits.val)
    assert report["images"]["split_digest"] == digits.split_digest
    assert report["threads"] == torch.get_num_threads()
    for name, found in exported.formats.items():
        stored = report["formats"][name]
        assert stored["accuracy"] == found.accuracy
        assert stored["size"] == found.size
        assert stored["latency"]["64"] == found.latency[64]
        assert len(stored["batches"]) == 3


def test_int8_without_images_is_refused_or_left_out(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(NasError, match="int8 is calibrated on training images, and there are none at hand"):
        export_model(simple(), tmp_path / "out", ["int8"])


@pytest.mark.slow
def test_a_network_that_cannot_be_quantized_is_said(
    reader: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setattr("onnxruntime.quantization.quantize_static", None)
    with pytest.raises(NasError, match="The format int8 cannot hold this network: "):
        export_model(reader, tmp_path / "out", ["int8"])


@pytest.mark.slow
def test_int8_that_loses_too_much_is_not_kept(reader: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(VerificationFailed, match=r"int8 failed: it loses .*--max-drop allows -1"):
        export_model(reader, tmp_path / "out", ["int8"], max_drop=-1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_sampled_architectures_of_every_space_come_through(tmp_path: Path, name: str) -> None:
    if name == "onnx":
        pytest.importorskip("onnxscript")
    for number, model in enumerate(sampled((3, 16, 16), 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        load_exporter(name).export(model, folder, uint8=False)
        runtime = load_exporter(name).load(folder, 1)
        for batch_size in (1, 2, 7, 64):
            images = torch.randn(batch_size, *model.input_shape)
            with torch.no_grad():
                expected = model.model(images).numpy()
            np.testing.assert_allclose(runtime.run(images.numpy()), expected, rtol=1e-5, atol=1e-4)
