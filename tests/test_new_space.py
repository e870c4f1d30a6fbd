"""`nas new-space`: a file to start from, which runs as it is."""

import json
from pathlib import Path

import pytest

from tests.conftest import Nas


def test_a_new_space_runs_at_once(nas: Nas, tmp_path: Path) -> None:
    code, out, _ = nas("new-space", "my space.py")
    assert (code, out) == (
        0,
        "my space.py is a search space. Run it with: nas search --space 'my space.py'\n",
    )
    text = (tmp_path / "my space.py").read_text()
    assert text.count("\n") == 56
    assert text.count("  # ") >= 6

    (tmp_path / "my_space.py").write_text(text)
    settings = ("--trials", 2, "--epochs", 1, "--workers", 1, "--threads", 1, "--device", "cpu", "--quiet")
    code, _, err = nas("search", "--space", "my_space.py", *settings)
    assert code == 0, err
    shown = json.loads(nas("show", "--json")[1])
    assert (shown["study"], shown["counts"]["completed"]) == ("my_space-digits", 2)
    first = [trial["params"]["log2_filters"] for trial in shown["trials"]]
    assert first == [4, 5], "a study begins with the starts of its space"
    assert shown["trials"][0]["value"] > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py", "mine.py exists already, and is left as it is"),
        ("mine", "call it mine.py, not mine"),
        ("mine.toml", "call it mine.py, not mine.toml"),
        ("nowhere/mine.py", "nowhere/mine.py cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(nas: Nas, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "mine.py").write_text("mine")
    code, _, err = nas("new-space", name)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "mine.py").read_text() == "mine"
    assert not (tmp_path / "mine").exists()
