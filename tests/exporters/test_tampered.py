"""Exports that somebody else made, or spoilt: one line, and no code of theirs is run unasked."""

from __future__ import annotations

import json
import os
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.errors import NasError
from nas.exporters.provenance import remember
from nas.exporters.sha256sums import write_sums
from nas.exporters.use.exported import Exported
from nas.exporters.verify import measuring
from nas.exporters.verify.measuring import Request, check
from nas.machine import children
from tests.conftest import Nas

DESCRIPTION: dict[str, Any] = {
    "input_shape": [1, 8, 8],
    "classes": ["cat", "dog", "emu"],
    "mean": [0.5],
    "std": [0.25],
    "formats": {
        "source": ["model.py", "model.safetensors"],
        "torch": ["model.pt2"],
        "onnx": ["model.onnx"],
    },
}

CODE = """
import os
from pathlib import Path

Path(__file__).with_name("ran").write_text(os.environ.get("NAS_STORAGE", ""))

def load():
    raise ValueError("no network")
"""


@cache
def graph(location: str | None = None, largest: float = 2) -> bytes:
    """A network in ONNX; with `location` its bias lies in that file, which is none of the graph's."""
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, onnx.numpy_helper
    weight = numbers.from_array(np.eye(64, 3, dtype=np.float32), "weight")
    bias = numbers.from_array(np.array([0, 1, largest], np.float32), "bias")
    if location:
        bias.ClearField("raw_data")
        bias.data_location = onnx.TensorProto.EXTERNAL
        entry = bias.external_data.add()
        entry.key, entry.value = "location", location
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"]),
    ]
    floats = onnx.TensorProto.FLOAT
    images = helper.make_tensor_value_info("images", floats, ["batch", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", floats, ["batch", 3])
    made = helper.make_graph(nodes, "network", [images], [logits], [weight, bias])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def write(folder: Path, **changed: bytes | str) -> Path:
    """An export that nobody here made, with other content in the files that are named."""
    files: dict[str, bytes | str] = {
        "architecture_json": json.dumps(DESCRIPTION),
        "model_onnx": graph(),
        "model_pt2": pickle.dumps(print),
        "model_py": CODE,
        "model_safetensors": pickle.dumps(print),
    }
    folder.mkdir(exist_ok=True)
    for key, content in (files | changed).items():
        file = folder / key.replace("_", ".")
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    write_sums(folder, {path.name for path in folder.iterdir()} - {"SHA256SUMS"})
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime")
    Image.new("L", (8, 8), 200).save(tmp_path / "image.png")
    return write(tmp_path / "theirs")


def ran(folder: Path) -> bool:
    return (folder / "ran").exists()


def test_of_an_export_of_somebody_else_the_file_that_holds_no_code_is_run_and_it_is_said(
    nas: Nas, theirs: Path
) -> None:
    code, out, err = nas("predict", theirs, "image.png")
    assert (code, "emu" in out) == (0, True)
    assert "was not exported by you on this machine, so its onnx file is run" in err
    assert "--trust" in err
    assert err.count("\n") == 1
    assert not ran(theirs)
    assert nas("predict", theirs, "image.png", "--format", "onnx")[2] == "", "it was asked for"


@pytest.mark.parametrize(
    "ask", [("predict", "theirs", "image.png"), ("bench", "theirs")], ids=["predict", "bench"]
)
def test_code_of_somebody_else_is_run_only_when_it_is_trusted(
    nas: Nas, theirs: Path, ask: tuple[str, ...]
) -> None:
    for name in ("source", "torch"):
        code, out, err = nas(*ask, "--format", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "can hold code, and theirs was not exported by you on this machine." in err
        assert "add --trust" in err
    (theirs / "model.onnx").unlink()
    if ask[0] == "predict":
        code, _, err = nas(*ask)
        assert (code, err.count("\n")) == (2, 1)
        assert "The formats source and torch can hold code" in err
        assert not ran(theirs)
        code, _, err = nas(*ask, "--trust", "--format", "source")
        assert "model.py, model.safetensors cannot be loaded: no network" in err
        assert ran(theirs)


def test_a_format_that_nobody_here_knows_is_taken_for_one_that_holds_code(nas: Nas, theirs: Path) -> None:
    write(theirs, architecture_json=json.dumps({**DESCRIPTION, "formats": {"tensorrt": ["model.onnx"]}}))
    assert "add --trust" in nas("predict", theirs, "image.png")[2]
    code, _, err = nas("predict", theirs, "image.png", "--trust")
    assert code == 2
    assert "No export format named 'tensorrt'" in err


def test_an_export_of_this_user_may_move_and_is_not_asked_about_until_it_changes(
    nas: Nas, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(theirs)
    mine = theirs.rename(theirs.with_name("mine"))
    assert nas("predict", mine, "image.png")[2] == ""
    assert "no network" in nas("predict", mine, "image.png", "--format", "source")[2]
    assert ran(mine)
    if hasattr(os, "getuid"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getuid", lambda: 12345)
            assert not Exported.open(mine).trusted, "another user's cache"
    (mine / "ran").unlink()
    write(mine, model_py=CODE + "\n")
    assert "add --trust" in nas("predict", mine, "image.png", "--format", "source")[2]
    assert not ran(mine)


def test_without_a_cache_that_can_be_written_an_export_is_somebody_elses(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE", str(theirs / "model.py"))
    remember(theirs)
    assert not Exported.open(theirs).trusted
    assert Exported.open(theirs, trust=True).trusted


DEEP = "[" * 1_000_000

ODD = {
    "a list": "[]",
    "nothing": "",
    "null": "null",
    "a number": "3",
    "deep": DEEP,
    "deep within": '{"formats": ' + DEEP,
    "another encoding": json.dumps(DESCRIPTION).encode("utf-16"),
    "no text": bytes(range(256)),
    "too large": b" " * (9 * 2**20),
    "many digits": '{"input_shape": [1, 8, ' + "8" * 5000 + "]}",
}

OF_ODD_VALUES = [
    ("input_shape", [1, 10**9, 10**9]),
    ("input_shape", [1, 8]),
    ("input_shape", [0, 8, 8]),
    ("input_shape", [1, 8, -8]),
    ("input_shape", [1, 8.0, 8]),
    ("input_shape", [True, 8, 8]),
    ("input_shape", "188"),
    ("input_shape", {"1": 1, "8": 8, "9": 8}),
    ("input_shape", None),
    ("classes", []),
    ("classes", "cat"),
    ("classes", {"cat": 1, "dog": 2, "emu": 3}),
    ("classes", [1, 2, 3]),
    ("mean", [float("nan")]),
    ("mean", [10**400]),
    ("mean", []),
    ("mean", 0.5),
    ("std", [0]),
    ("std", [1e-320]),
    ("std", [float("inf")]),
    ("std", ["1"]),
    ("formats", []),
    ("formats", {}),
    ("formats", "onnx"),
    ("formats", {"onnx": "model.onnx"}),
    ("formats", {"onnx": ["../theirs/model.onnx"]}),
    ("formats", {"onnx": [["model.onnx"]]}),
]


def test_a_description_of_any_shape_is_one_line(nas: Nas, theirs: Path) -> None:
    cases = dict(ODD)
    cases |= {f"without {key}": json.dumps({**DESCRIPTION, key: 0}).replace(key, "x") for key in DESCRIPTION}
    cases |= {f"{key} {value}": json.dumps({**DESCRIPTION, key: value}) for key, value in OF_ODD_VALUES}
    for case, content in cases.items():
        write(theirs, architecture_json=content)
        with pytest.raises(NasError, match="theirs") as raised:
            Exported.open(theirs)
        assert "\n" not in str(raised.value), case
    assert nas("bench", theirs)[0] == nas("predict", theirs, "image.png")[0] == 2


@pytest.mark.parametrize("where", ["../outside", "absolute", "link"])
def test_a_graph_reads_nothing_outside_its_folder(nas: Nas, theirs: Path, where: str) -> None:
    outside = theirs.with_name("outside")
    outside.write_bytes(np.arange(3, dtype=np.float32).tobytes())
    (theirs / "link").symlink_to(outside)
    write(theirs, model_onnx=graph(str(outside) if where == "absolute" else where))
    code, out, err = nas("predict", theirs, "image.png", "--format", "onnx")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "model.onnx cannot be loaded" in err


def test_a_graph_that_is_none_is_one_line(nas: Nas, theirs: Path) -> None:
    for content in (b"", bytes(100), b"garbage", graph()[:-40], pickle.dumps(print)):
        write(theirs, model_onnx=content)
        code, out, err = nas("predict", theirs, "image.png", "--format", "onnx")
        assert (code, out, err.count("\n")) == (2, "", 1), content
        assert "model.onnx cannot be loaded" in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("name", ["SHA256SUMS", "architecture.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "folder"])
def test_what_is_no_file_is_not_waited_for(nas: Nas, theirs: Path, name: str, kind: str) -> None:
    (theirs / name).unlink()
    if kind == "pipe":
        os.mkfifo(theirs / name)
    elif kind == "folder":
        (theirs / name).mkdir()
    else:
        (theirs / name).symlink_to("/dev/zero" if kind == "device" else name)
    code, _, err = nas("predict", theirs, "image.png")
    assert (code, err.count("\n")) == (2, 1)


def test_what_links_lead_to_is_run_when_its_checksum_is_right(nas: Nas, theirs: Path) -> None:
    (theirs / "model.onnx").rename(theirs.with_name("elsewhere.onnx"))
    (theirs / "model.onnx").symlink_to(theirs.with_name("elsewhere.onnx"))
    assert nas("predict", theirs, "image.png")[0] == 0
    theirs.with_name("elsewhere.onnx").write_bytes(graph() + b" ")
    assert "model.onnx changed since the export" in nas("predict", theirs, "image.png")[2]


def test_logits_that_are_no_numbers_are_no_answer(nas: Nas, theirs: Path) -> None:
    write(theirs, model_onnx=graph(largest=float("inf")))
    code, out, err = nas("predict", theirs, "image.png", "--format", "onnx")
    assert (code, out) == (2, "")
    assert "gives logits that are no numbers" in err


# The database's password -------------------------------------------------------------------------------


def test_code_in_an_export_does_not_see_the_databases_password(
    nas: Nas, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_STORAGE", "postgresql://me:secret@host/database")
    nas("predict", theirs, "image.png", "--trust", "--format", "source")
    assert (theirs / "ran").read_text() == ""
    assert "secret" in os.environ["NAS_STORAGE"], "it is there again for whoever called us"


def test_nor_does_any_process_that_we_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE", "postgresql://me:secret@host/database")
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert "secret" not in str(children.environment())
    monkeypatch.setattr(measuring, "PROCESS", "tests.exporters.telling")
    request = Request(format="x", folder="", shape=(1, 8, 8), mean=(), std=(), threads=1, timed=())
    with pytest.raises(NasError, match="it knows nothing"):
        check(request)


# A thousand spoilt exports -----------------------------------------------------------------------------


def spoilt(content: bytes, data: st.DataObject) -> bytes:
    """The same with some bytes changed, cut off, repeated or put in."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["change", "cut", "repeat", "put in"])):
            case "change":
                content = content[:at] + data.draw(st.binary(min_size=1, max_size=3)) + content[at + 1 :]
            case "cut":
                content = content[:at] + content[at + data.draw(st.integers(1, 200)) :]
            case "repeat":
                content = content[:at] + content[at // 2 : at] + content[at:]
            case "put in":
                content = content[:at] + data.draw(st.binary(max_size=20)) + content[at:]
    return content


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

FILES = ("architecture.json", "SHA256SUMS", "model.onnx", "model.py", "model.pt2", "model.safetensors")


def fuzz(examples: int) -> Any:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def spoil_and_predict(nas: Nas, folder: Path, data: st.DataObject) -> None:
    write(folder)
    if data.draw(st.booleans()):
        (folder / "architecture.json").write_text(
            json.dumps(DESCRIPTION | data.draw(st.dictionaries(st.sampled_from([*DESCRIPTION, "x"]), VALUES)))
        )
    else:
        name = data.draw(st.sampled_from(FILES))
        (folder / name).write_bytes(spoilt((folder / name).read_bytes(), data))
    if data.draw(st.integers(0, 3)):
        write_sums(folder, {path.name for path in folder.iterdir()} - {"SHA256SUMS"})
    code, out, err = nas("predict", folder, "image.png")
    assert code in (0, 2)
    assert "Traceback" not in out + err
    lines = err.splitlines()
    told = [line for line in lines if "so its onnx file is run" in line]
    assert len(told) <= 1
    assert len(lines) == len(told) + (code == 2), err
    assert all(line.startswith("nas: ") for line in lines)
    assert not ran(folder)


@fuzz(20)
@given(st.data())
def test_a_spoilt_export_is_one_line(nas: Nas, theirs: Path, data: st.DataObject) -> None:
    spoil_and_predict(nas, theirs, data)


@pytest.mark.slow
@fuzz(1000)
@given(st.data())
def test_a_thousand_spoilt_exports_are_one_line_each(nas: Nas, theirs: Path, data: st.DataObject) -> None:
    spoil_and_predict(nas, theirs, data)
