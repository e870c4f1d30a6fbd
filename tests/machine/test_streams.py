"""Standard streams that are closed, full, of a poor encoding or without a reader; hostile texts on them."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest

from nas import cli
from nas.machine.streams import GONE
from nas.machine.texts import clean
from tests.conftest import Nas

FULL = "/dev/full"

TINY = ("--space", "mlp", "--epochs", "1", "--workers", "1", "--threads", "1", "--device", "cpu")

needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="the system has no disk that is always full")


def code_of(*arguments: object) -> int:
    before, sys.argv = sys.argv, ["nas", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as exit:
            cli.main()
    finally:
        sys.argv = before
    return int(exit.value.code or 0)


@pytest.mark.parametrize("missing", ["stdout", "stderr"])
def test_commands_run_without_standard_streams(monkeypatch, searched, capsys, missing):
    monkeypatch.chdir(searched)
    for arguments in (
        ("search", "--study", "mlp-digits"),
        ("search", "--study", "mlp-digits", "--quiet"),
        ("watch",),
        ("recipe",),
        ("show",),
        ("show", "--json"),
        ("--help",),
    ):
        monkeypatch.setattr(sys, missing, None)
        assert code_of(*arguments) == 0
        assert getattr(sys, missing) is None, "as it was before"
    monkeypatch.setattr(sys, missing, None)
    assert code_of("serch") == 2
    monkeypatch.undo()
    out, err = capsys.readouterr()
    assert "serch" not in out, "an error does not go where results go"
    assert ("serch" in err) == (missing == "stdout")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="descriptors are closed by a shell")
def test_a_closed_descriptor_is_given_to_no_file_of_ours(tmp_path):
    script = f"exec {sys.executable} -m nas search {' '.join(TINY)} --trials 1 -q >&- 2>&-"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == 0
    shown = subprocess.run(
        [sys.executable, "-m", "nas", "show", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
    )
    assert json.loads(shown.stdout)["counts"]["completed"] == 1


def troubled(trouble: str) -> io.TextIOWrapper:
    """Standard output onto a full disk, or into a pipe whose reader has gone."""
    if trouble == "full":
        return open(FULL, "w", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "--study", "mlp-digits"),
        ("search", "--study", "mlp-digits", "--quiet"),
        ("show",),
        ("show", "--json"),
        ("show", "--trial", "0"),
        ("watch",),
        ("recipe",),
        ("data", "digits"),
        ("data",),
        ("spaces",),
        ("--help",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("trouble", ["gone", pytest.param("full", marks=needs_full)])
def test_a_command_whose_output_nobody_takes_ends_quietly_and_one_that_meets_a_full_disk_says_which(
    monkeypatch, searched, capsys, arguments, trouble
):
    monkeypatch.chdir(searched)
    stream = troubled(trouble)
    monkeypatch.setattr(sys, "stdout", stream)
    code = code_of(*arguments)
    stream.close()  # as Python does at its end: nothing is left to complain of
    err = capsys.readouterr().err
    if trouble == "gone":
        assert (code, err) == (GONE, "")
        return
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("nas: Standard output cannot be written: No space left on device.")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a study of one trial."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        from tests.scripted import ScriptedEngine, learns

        patch.setattr("nas.engines.kinds.local.LocalEngine", lambda *_: ScriptedEngine(learns(0.5)))
        patch.chdir(folder)
        assert code_of("search", *TINY, "--trials", 1, "--quiet") == 0
    return folder


def test_the_exit_code_is_the_one_of_a_command_that_sigpipe_ends():
    assert 128 + signal.SIGPIPE == GONE


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", *(pytest.param(each, marks=pytest.mark.slow) for each in ("ascii", "latin-1", "cp932"))],
)
@pytest.mark.usefixtures("scripted")
def test_no_command_fails_for_an_encoding_that_lacks_letters(monkeypatch, tmp_path, encoding):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("search", *TINY, "--trials", 1, "--study", "猫 été"),
        ("show", "猫 été"),
        ("show", "猫 été", "--json"),
        ("recipe", "--study", "猫 été \U0001f431"),
        ("new-space", "猫.py"),
        ("spaces",),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding, "strict")
        monkeypatch.setattr(sys, "stdout", stream)
        assert code_of(*arguments) == 0
        stream.flush()
        if arguments[0] == "recipe":
            (tmp_path / "mine.toml").write_bytes(stream.buffer.getvalue())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert code_of("recipe", "--recipe", "mine.toml") == 0


HOSTILE = "x\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        [HOSTILE],
        ["show", HOSTILE],
        ["show", "--trial", HOSTILE],
        ["data", f"./{HOSTILE}"],
        ["search", "--data", HOSTILE],
        ["search", "--recipe", HOSTILE],
        ["search", "--study", HOSTILE],
        ["recipe", "--sampler", HOSTILE],
        ["recipe", "--folder", f"~{HOSTILE}"],
        ["spaces", f"./{HOSTILE}.py"],
        ["predict", HOSTILE, HOSTILE],
        ["new-space", HOSTILE],
        ["show", "--storage", f"postgresql://{HOSTILE}"],
    ],
    ids=lambda arguments: clean(" ".join(arguments)),
)
def test_what_an_error_quotes_cannot_disturb_a_terminal(nas: Nas, searched, monkeypatch, arguments):
    monkeypatch.chdir(searched)
    code, out, err = nas(*arguments)
    assert code == 2
    assert out == ""
    assert err.endswith("\n")
    assert err[:-1].isprintable()


def test_a_hostile_name_that_is_printed_cannot_disturb_a_terminal(nas: Nas):
    code, out, _ = nas("new-space", f"{HOSTILE}.py")
    assert code == 0
    assert out[:-1].isprintable()
    code, out, _ = nas("recipe", "--folder", HOSTILE)
    assert code == 0
    assert all(line.isprintable() for line in out.split("\n"))
