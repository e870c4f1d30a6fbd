"""The recipes that come with us."""

import re
from pathlib import Path

import pytest

from nas.recipe import Recipe
from nas.space.load import is_file, load_baseline, load_space

FILES = sorted((Path(__file__).parents[1] / "studies").glob("*.toml"))

every_recipe = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_there_is_one_for_each_kind_of_start():
    assert {file.stem for file in FILES} >= {"digits", "fashion_mnist", "cifar10", "tight_memory", "folder"}


@every_recipe
def test_a_recipe_is_valid_and_what_it_names_exists(file):
    recipe = Recipe.load(file)
    assert not is_file(recipe.space)
    assert load_space(recipe.space).summary
    for name in recipe.baseline:
        load_baseline(name)


@every_recipe
def test_a_recipe_opens_with_its_promise_and_with_where_it_was_measured(file):
    text = file.read_text()
    recipe = Recipe.load(file)
    promise, _, rest = text.partition("\n#\n")
    assert promise.startswith(f"# {recipe.space} on ")
    measured = re.search(r"^# (Measured|Not measured)\b", rest, re.MULTILINE)
    assert measured
    if measured[1] == "Measured":
        assert re.search(r"\d\.\d{2}", promise), "the figure"
        assert "cores" in rest or "GPU" in rest, "the hardware"
    assert f"nas search --recipe studies/{file.name}" in rest


def test_the_tight_one_has_a_memory_cap():
    (file,) = (file for file in FILES if file.stem == "tight_memory")
    assert Recipe.load(file).memory_cap == "64MiB"
