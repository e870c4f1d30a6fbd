"""An export folder is whole at every instant, and nobody's file in it is lost without a word."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nas
from nas.errors import StorageError
from nas.exporters import folder as folders
from nas.exporters.exchange import exchange
from nas.exporters.folder import check_replaceable, replaced, restore
from nas.exporters.sha256sums import write_sums


def fill(folder: Path, content: str) -> None:
    """A small export."""
    files = ["architecture.json", "model.bin"]
    (folder / "architecture.json").write_text(json.dumps({"files": [*files, "SHA256SUMS"]}))
    (folder / "model.bin").write_text(content)
    write_sums(folder, files)


def export(folder: Path, content: str, **options: bool) -> None:
    with replaced(folder, **options) as new:
        fill(new, content)


def content(folder: Path) -> str:
    return (folder / "model.bin").read_text()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An earlier export."""
    export(tmp_path / "out", "before")
    return tmp_path / "out"


KILLED = """
import os, signal, sys
from pathlib import Path
from nas.exporters import folder
from tests.exporters.test_folder import fill

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def then_die(step):
    return lambda *arguments: (step(*arguments), die())

out, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "after the exchange":
    folder.exchange = then_die(folder.exchange)
if moment == "between two renamings":
    folder.exchange = lambda new, old: False
    Path.rename = then_die(Path.rename)
with folder.replaced(out) as new:
    fill(new, "after")
    assert "torch" not in sys.modules
    if moment == "while it is filled":
        die()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize(
    ("moment", "whole"),
    [
        ("while it is filled", "before"),
        ("after the exchange", "after"),
        ("between two renamings", None),
    ],
)
def test_a_killed_export_leaves_a_whole_folder_and_the_next_command_clears_the_rest(
    out: Path, moment: str, whole: str | None
) -> None:
    command = [sys.executable, "-c", KILLED, out, moment]
    assert subprocess.run(command, cwd=Path(nas.__file__).parents[1]).returncode == -signal.SIGKILL
    if whole is None:
        assert not out.exists()
        restore(out)
        whole = "before"
    assert content(out) == whole
    check_replaceable(out)
    assert len(list(out.parent.iterdir())) == 2, "something hidden is left"
    export(out.with_name("other"), "other")
    assert sorted(path.name for path in out.parent.iterdir()) == ["other", "out"]
    assert content(out) == whole


def test_what_a_living_export_fills_is_not_cleared_by_another(out: Path) -> None:
    with replaced(out) as new:
        fill(new, "first")
        export(out, "second")
        restore(out)
        assert content(out) == "second"
    assert content(out) == "first"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("system", ["exchanges", "cannot exchange"])
def test_the_folder_follows_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    if system == "cannot exchange":
        monkeypatch.setattr(folders, "exchange", lambda new, old: False)
    before = os.umask(0o027)
    try:
        for text in ("first", "second"):
            export(tmp_path / "out", text)
            assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
            assert content(tmp_path / "out") == text
    finally:
        os.umask(before)


def test_an_exchange_leaves_no_instant_without_a_folder(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this system cannot")
    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "nowhere")


def test_an_interrupt_between_two_renamings_brings_the_earlier_export_back(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(folders, "exchange", lambda new, old: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(out, "after")
    assert content(out) == "before"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def add(out: Path) -> None:
    (out / "notes.txt").write_text("mine")


def edit(out: Path) -> None:
    (out / "model.bin").write_text("mine")


def forget(out: Path) -> None:
    (out / "SHA256SUMS").unlink()


TOUCHED = [
    (add, r"files that no export wrote \(notes\.txt\)"),
    (edit, r"files that were edited since \(model\.bin\)"),
    (forget, r"files that no export wrote \(architecture\.json, model\.bin\)"),
]


@pytest.mark.parametrize("while_it_runs", [False, True], ids=["before", "meanwhile"])
@pytest.mark.parametrize(("touch", "message"), TOUCHED, ids=["added", "edited", "without sums"])
def test_a_file_that_is_not_as_we_wrote_it_is_lost_only_when_that_is_asked_for(
    out: Path, touch: Callable[[Path], None], message: str, while_it_runs: bool
) -> None:
    def try_again(**options: bool) -> None:
        check_replaceable(out, **options)
        with replaced(out, **options) as new:
            fill(new, "after")
            if while_it_runs:
                touch(out)

    if not while_it_runs:
        touch(out)
    with pytest.raises(StorageError, match=rf"{message}.*--out.*--overwrite"):
        try_again()
    for text in out.glob("notes.txt"):
        assert text.read_text() == "mine"
    assert content(out) == ("mine" if touch is edit else "before")
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    export(out, "after", overwrite=True)
    assert content(out) == "after"
    assert not (out / "notes.txt").exists()


def test_a_folder_that_is_no_export_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="no earlier export"):
        check_replaceable(tmp_path, overwrite=True)


def test_a_place_that_refuses_keeps_what_it_has(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(new: Path, old: Path) -> bool:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(folders, "exchange", refused)
    with pytest.raises(OSError, match="busy"):
        export(out, "after")
    assert content(out) == "before"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
