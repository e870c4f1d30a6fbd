"""An export appears whole or not at all, and takes the place of nothing but an earlier export."""

import getpass
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from optuna.trial import FixedTrial

import nas.exporters
from nas.errors import NasError, StorageError, UnknownName
from nas.exporters import export_trial, known_exporters
from nas.plugins import load_space
from nas.space import DataInfo
from tests.exporters.samples import sampled, simple


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_export_is_written_checked_and_reported(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    before = os.umask(0o022)
    try:
        export = export_trial(simple(), out)
    finally:
        os.umask(before)
    assert export.folder == out
    assert export.files == ("architecture.json", "model.py", "model.safetensors")
    assert names(out) == list(export.files)
    assert export.differences["source"] <= 1e-5
    assert names(out.parent) == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o644}
    content = b"".join(file.read_bytes() for file in out.iterdir()).decode("latin-1")
    for private in (str(tmp_path), str(Path.home()), str(Path(nas.__file__).parent), f"/{getpass.getuser()}"):
        assert private not in content


def test_a_network_that_the_files_do_not_reproduce_is_not_exported(tmp_path: Path) -> None:
    model = simple()
    torch.nn.init.constant_(model.model.classifier.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(NasError, match="does not compute"):
        export_trial(model, tmp_path / "out")
    assert names(tmp_path) == []


def test_a_model_on_its_way_through_training_is_exported_as_it_evaluates_and_left_alone(
    tmp_path: Path,
) -> None:
    *_, model = sampled((1, 8, 8), 1)
    model.model.double().train()
    assert export_trial(model, tmp_path / "out").differences["source"] <= 1e-5
    assert model.model.training
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.float64}


def test_the_architecture_is_described_and_can_be_rebuilt(tmp_path: Path) -> None:
    data = DataInfo(
        name="x", shape=(1, 8, 8), num_classes=3, num_train=1000, num_val=9, augmentations=("shift",)
    )
    for model in sampled((1, 8, 8), 1):
        export_trial(model, tmp_path / "out", formats=())
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
            "val_accuracy": 0.875,
            "versions": {"nas": "0.1.0", "torch": "2.11"},
        }
        assert {name: content[name] for name in expected} == expected


def test_an_earlier_export_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_trial(simple(), out, formats=())
    description = json.loads((out / "architecture.json").read_text())
    (out / "architecture.json").write_text(
        json.dumps({**description, "files": ["architecture.json", "old.bin"]})
    )
    (out / "old.bin").touch()
    (out / "__pycache__").mkdir()
    export_trial(simple(), out, formats=())
    assert names(out) == ["architecture.json"]
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_trial(simple(), tmp_path / "out", formats=())
    assert names(tmp_path / "out") == ["architecture.json"]


@pytest.mark.parametrize(
    "files", [["notes.txt"], ["architecture.json"], ["model.py"]], ids=lambda files: files[0]
)
def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        (tmp_path / file).write_text('{"mine": 1}')
    with pytest.raises(StorageError, match="no earlier export"):
        export_trial(simple(), tmp_path, formats=())
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(files, '{"mine": 1}')


def test_an_export_to_which_somebody_added_a_file_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_trial(simple(), out, formats=())
    (out / "notes.txt").touch()
    with pytest.raises(StorageError, match=r"no export wrote: notes\.txt"):
        export_trial(simple(), out, formats=())
    assert names(out) == ["architecture.json", "notes.txt"]


@pytest.mark.parametrize(("out", "message"), [("file", "is a file"), ("file/out", "cannot be written")])
def test_a_file_in_the_way_is_named(tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=message):
        export_trial(simple(), tmp_path / out, formats=())
    assert (tmp_path / "file").read_text() == "mine"


KILLED = """
import sys, time
from pathlib import Path
from nas.exporters.parts.folder import replaced

with replaced(Path(sys.argv[1])) as folder:
    (folder / "architecture.json").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_an_export_that_is_killed_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_trial(simple(), out, formats=())
    before = (out / "architecture.json").read_bytes()
    command = [sys.executable, "-c", KILLED, out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(nas.__file__).parents[1]) as process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert (out / "architecture.json").read_bytes() == before
    export_trial(simple(), out, formats=())


def test_a_format_is_found_by_being_there(tmp_path, monkeypatch):
    formats = tmp_path / "formats"
    formats.mkdir()
    (formats / "note.py").write_text(
        "def export(trained, folder):\n    (folder / 'note.txt').write_text(trained.study)\n    return 0.5\n"
    )
    monkeypatch.setattr(nas.exporters, "__path__", [*nas.exporters.__path__, str(formats)])
    assert known_exporters() == ["note", "source"]
    export = export_trial(simple(), tmp_path / "out", ["note"])
    assert export.differences == {"note": 0.5}
    assert export.files == ("architecture.json", "note.txt")
    assert (tmp_path / "out" / "note.txt").read_text() == "mine-pets"


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'source'\? Known: source"):
        export_trial(simple(), tmp_path / "out", ["sauce"])
    assert names(tmp_path) == []
