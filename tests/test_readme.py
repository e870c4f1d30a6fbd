"""What the README shows is what there is."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

import nas
from nas.commands.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^nas ([a-z-]+)", README, re.MULTILINE)))


def test_the_search_space_that_it_shows_is_the_one_that_nas_new_space_writes():
    shown = re.search(r"<!-- new-space -->\n```python\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "search_spaces" / "_new_space.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_it_names_exists(command):
    from nas import cli  # noqa: F401 - it loads the commands

    assert command in get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bnas\.([a-z_]+)\(", README))))
def test_every_function_that_it_names_exists(name):
    assert name in nas.__all__


@pytest.mark.parametrize("file", re.findall(r"\]\(([^)h][^)]*)\)", README))
def test_every_picture_is_there(file):
    assert (ROOT / file).is_file()
