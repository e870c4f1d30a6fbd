"""An export appears whole or not at all, and takes the place of nothing but an earlier export."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import FixedTrial
from torch import nn

import nas.exporters
from nas.errors import BrokenFile, InvalidSetting, NasError, StorageError, UnknownName, VerificationFailed
from nas.exporters import TrainedModel, export_model, known_exporters
from nas.exporters.registry import load_exporter
from nas.exporters.sha256sums import write_sums
from nas.exporters.verify.measuring import Agreement
from nas.exporters.verify.verification import Reference, Verification, judge
from nas.space import DataInfo
from nas.space.load import load_space
from tests.exporters.samples import NOTE, sampled, simple

DESCRIPTION = [
    "README.md",
    "SHA256SUMS",
    "architecture.json",
    "architecture.svg",
    "labels.txt",
    "verification.json",
]
"""What every export holds, whatever its formats."""

Install = Callable[[str, str], None]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_export_is_written_verified_and_reported(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    before = os.umask(0o022)
    try:
        export = export_model(simple(), out, ["source"])
    finally:
        os.umask(before)
    assert export.folder == out
    assert export.files == tuple(sorted([*DESCRIPTION, "model.py", "model.safetensors"]))
    assert names(out) == list(export.files)
    found = export.formats["source"]
    assert found.files == ("model.py", "model.safetensors")
    assert found.size == sum((out / name).stat().st_size for name in found.files)
    assert [each.batch_size for each in found.batches] == [1, 7, 256]
    assert found.largest_difference <= 1e-5
    assert found.agreement == 1
    assert found.latency.keys() == {1, 64}
    assert names(out.parent) == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o644}


def test_a_network_that_gives_no_numbers_is_not_exported(tmp_path: Path) -> None:
    model = simple()
    export_model(model, tmp_path / "out", ())
    torch.nn.init.constant_(model.model.classifier.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(VerificationFailed, match="no numbers") as raised:
        export_model(model, tmp_path / "out", ["source"])
    assert raised.value.export is None
    assert names(tmp_path / "out") == DESCRIPTION, "the earlier export stays"
    assert names(tmp_path) == ["out"]


def test_a_model_on_its_way_through_training_is_exported_as_it_evaluates_and_left_alone(
    tmp_path: Path,
) -> None:
    *_, model = sampled((1, 8, 8), 1)
    model.model.double().train()
    assert export_model(model, tmp_path / "out", ["source"]).formats["source"].largest_difference <= 1e-4
    assert model.model.training
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": ("cat", "dog")}, r"gives 3 logits for an image, and 2 classes are named"),
        ({"input_shape": (1, 9, 9)}, r"does not run on images of 1 x 9 x 9"),
        ({"model": nn.Conv2d(1, 3, 8)}, r"gives 3 x 1 x 1 logits"),
    ],
    ids=["classes", "shape", "output"],
)
def test_a_network_that_does_not_fit_its_facts_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message):
        export_model(replace(simple(), **changed), tmp_path / "out", ())
    assert names(tmp_path) == []


def test_the_architecture_is_described_and_can_be_rebuilt(tmp_path: Path) -> None:
    data = DataInfo(
        name="x", shape=(1, 8, 8), num_classes=3, num_train=1000, num_val=9, augmentations=("shift",)
    )
    for model in sampled((1, 8, 8), 1):
        export_model(model, tmp_path / "out", ())
        content = json.loads((tmp_path / "out" / "architecture.json").read_text())
        space = load_space(content["space"])
        network = space.build(space.suggest(FixedTrial(content["params"]), data), data)
        assert str(network) == str(model.model)
        assert content["space_version"] == space.version
        assert content["parameters"] == sum(parameter.numel() for parameter in network.parameters())
        assert content["multiply_adds"] == sum(layer["multiply_adds"] for layer in content["layers"])
        assert content["layers"][-1]["name"] == "classifier"
        assert content["layers"][-1]["output_shape"] == [3]
        expected = {
            "input_shape": [1, 8, 8],
            "classes": ["cat", "dog", "emu"],
            "mean": [0.5],
            "std": [0.25],
            "study": "mine-pets",
            "trial": 7,
            "value": 0.875,
            "metric": "accuracy",
            "versions": {"nas": "0.1.0", "torch": "2.11"},
        }
        assert {name: content[name] for name in expected} == expected


def test_an_earlier_export_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model(simple(), out, ())
    (out / "old.bin").touch()
    write_sums(out, {*names(out)} - {"SHA256SUMS"})
    for litter in ("__pycache__", ".DS_Store"):
        (out / litter).mkdir()
    export_model(simple(), out, ())
    assert names(out) == DESCRIPTION
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_model(simple(), tmp_path / "out", ())
    assert names(tmp_path / "out") == DESCRIPTION


@pytest.mark.parametrize(
    "files", [["notes.txt"], ["architecture.json"], ["model.py"]], ids=lambda files: files[0]
)
def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        (tmp_path / file).write_text('{"mine": 1}')
    with pytest.raises(StorageError, match="no earlier export"):
        export_model(simple(), tmp_path, ())
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(files, '{"mine": 1}')


def test_an_export_to_which_somebody_added_a_file_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model(simple(), out, ())
    (out / "notes.txt").touch()
    with pytest.raises(StorageError, match=r"no export wrote \(notes\.txt\)"):
        export_model(simple(), out, ())
    assert names(out) == sorted([*DESCRIPTION, "notes.txt"])


@pytest.mark.parametrize(("out", "message"), [("file", "is a file"), ("file/out", "cannot be written")])
def test_a_file_in_the_way_is_named(tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=message):
        export_model(simple(), tmp_path / out, ())
    assert (tmp_path / "file").read_text() == "mine"


KILLED = """
import sys, time
from pathlib import Path
from nas.exporters.folder import replaced

with replaced(Path(sys.argv[1])) as folder:
    (folder / "architecture.json").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_an_export_that_is_killed_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model(simple(), out, ())
    before = (out / "architecture.json").read_bytes()
    command = [sys.executable, "-c", KILLED, out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(nas.__file__).parents[1]) as process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert (out / "architecture.json").read_bytes() == before
    export_model(simple(), out, ())


class Silent(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "said"), [(Silent(), "its text cannot be made: RuntimeError"), (SystemExit(0), "0")]
)
def test_code_of_the_author_that_fails_in_an_odd_way_is_one_line(
    tmp_path: Path, error: BaseException, said: str
) -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise error

    with pytest.raises(InvalidSetting, match=rf"does not run on images of 1 x 8 x 8 .*: {said}$"):
        export_model(replace(simple(), model=Broken()), tmp_path / "out", ())
    assert names(tmp_path) == []


def constant(logits: str) -> TrainedModel:
    """A network that gives the same logits for every image: those of `numpy.<logits>(3)`."""
    model = simple()
    for parameter in model.model.parameters():
        nn.init.zeros_(parameter)
    model.model.classifier.bias.data += torch.tensor([0.0, 1, 2]) if logits == "arange" else 0  # type: ignore
    return model


def test_a_format_of_another_distribution_is_found(tmp_path: Path, install: Install) -> None:
    install("note", NOTE.format(content="hello", logits="arange"))
    assert known_exporters() == ["int8", "note", "onnx", "source", "torch"]
    export = export_model(constant("arange"), tmp_path / "out", ["note"])
    assert export.formats["note"].agreement == 1
    assert (tmp_path / "out" / "note.txt").read_text() == "hello"
    assert "print(open('note.txt').read())" in (tmp_path / "out" / "README.md").read_text()


def test_a_format_that_predicts_otherwise_fails_and_the_others_are_kept(
    tmp_path: Path, install: Install
) -> None:
    install("note", NOTE.format(content="hello", logits="zeros"))
    with pytest.raises(VerificationFailed, match=r"note failed: .* 100\.00 % of 256 random") as raised:
        export_model(constant("arange"), tmp_path / "out", ["source", "note"])
    assert raised.value.export is not None
    assert list(raised.value.export.formats) == ["source"]
    assert list(raised.value.export.failures) == ["note"]
    assert names(tmp_path / "out") == sorted([*DESCRIPTION, "model.py", "model.safetensors"])
    assert "note" not in (tmp_path / "out" / "SHA256SUMS").read_text()


def test_a_format_that_does_not_run_fails_with_its_reason(tmp_path: Path, install: Install) -> None:
    install("note", NOTE.format(content="hello", logits="no_such_thing"))
    with pytest.raises(VerificationFailed, match=r"note file does not run: AttributeError: .*no_such_thing"):
        export_model(constant("arange"), tmp_path / "out", ["note"])
    assert names(tmp_path) == ["site"]


def test_a_broken_format_of_another_distribution_is_named(tmp_path: Path, install: Install) -> None:
    install("broken", "import no_such_module")
    with pytest.raises(BrokenFile, match=r"'broken' \(their_broken\): No module named 'no_such_module'"):
        export_model(simple(), tmp_path / "out", ["broken"])


def test_a_format_that_fails_halfway_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(trained: TrainedModel, folder: Path, *, uint8: bool) -> None:
        (folder / "model.pt2").write_text("half")
        raise NasError("no further")

    monkeypatch.setattr("nas.exporters.formats.torch.export", half)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert export_model(simple(), tmp_path / "out").left_out["torch"] == "no further"
    assert names(tmp_path / "out") == sorted([*DESCRIPTION, "model.py", "model.safetensors"])


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    for name in ("onnx", "int8"):
        with pytest.raises(NasError, match=r"onnxscript not installed.*pip install 'optuna-nas\[onnx\]'"):
            export_model(simple(), tmp_path / "out", [name])
    assert names(tmp_path) == []


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'source'\? Known: int8, onnx, source, torch"):
        export_model(simple(), tmp_path / "out", ["sauce"])
    assert names(tmp_path) == []


@pytest.mark.parametrize(("others", "fails"), [(1, False), (2, True)])
def test_one_image_in_a_thousand_may_be_of_another_class(others: int, fails: bool) -> None:
    near = {"largest_difference": 1e-4, "mean_difference": 1e-5, "largest_shift": 1e-4, "mean_shift": 1e-5}
    agreement = Agreement(batch_size=1, **near, agreement=1 - others / 1500, accuracy=None, value=None)
    found = Verification(files=(), size=0, batches=(agreement,), latency={})
    wanted = Reference(
        logits=Path(),
        images=1500,
        accuracy=None,
        metric="accuracy",
        value=None,
        largest=1.0,
        spread=1.0,
        threads=1,
        processor="",
    )
    with pytest.raises(NasError, match="predicts another class") if fails else nullcontext():
        judge("source", load_exporter("source"), found, wanted, max_drop=0.01)
