"""What others add, and how what is wrong with it is said. What is right: `tests/test_contributing.py`."""

import sys

import pytest

from nas.errors import BrokenFile, DataError, UnknownName
from nas.machine.plugins import EXPORTERS, LOGGERS, OBJECTIVES, PRUNERS, Plugins
from nas.objectives.base import Objective
from nas.pruners.base import make_pruner
from nas.recipe import Recipe
from nas.testing.pruners import new_study

BROKEN = {
    "syntax": "def make(study)\n    pass\n",
    "import": "import os\nimport nowhere_to_be_found\n",
    "exit": "import sys\nsys.exit(3)\n",
    "empty": "x = 1\n",
    "raises": "def make(study):\n    return helper(study)\ndef helper(study):\n    return {}['depth']\n",
    "ends": """
class Ends:
    def stop(self, number, images_seen, accuracy):
        return 1 / 0
def make(study):
    return Ends()
""",
    "mends": "from nas.errors import DataError\nraise DataError('no account')\n",
    "median": "raise AssertionError('ours come first')\n",
}


@pytest.fixture
def pruners(tmp_path, monkeypatch):
    """Those of a distribution that is broken in every way."""
    facts = tmp_path / "site" / "broken-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    points = "".join(f"{name} = broken_{name}\n" for name in BROKEN)
    (facts / "entry_points.txt").write_text(f"[nas.pruners]\n{points}")
    for name, source in BROKEN.items():
        (facts.parent / f"broken_{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"broken_{name}", raising=False)
    monkeypatch.syspath_prepend(facts.parent)
    return PRUNERS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("syntax", r"^Pruner 'syntax' \(broken_syntax\): .*line 1"),
        ("import", r"^Pruner 'import' \(broken_import\): No module named .*broken_import\.py, line 2\)$"),
        ("exit", r"^Pruner 'exit' \(broken_exit\): 3 \(.*broken_exit\.py, line 2\)$"),
        ("empty", r"^Pruner 'empty' \(broken_empty\): it has no make$"),
    ],
)
def test_one_that_cannot_be_imported_is_shown_with_its_line(pruners, name, message):
    with pytest.raises(BrokenFile, match=message):
        pruners.find(name)


@pytest.mark.parametrize(
    ("seam", "contract"),
    [
        (EXPORTERS, {"LOSSY", "check", "export", "load", "usage"}),
        (OBJECTIVES, set(Objective.__annotations__) | {"of"}),
    ],
    ids=["exporter", "objective"],
)
def test_one_that_lacks_anything_of_its_contract_is_told_so(tmp_path, monkeypatch, seam, contract):
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "".join(f"no_{each} = without_{each}\n" for each in contract)
    (facts / "entry_points.txt").write_text(f"[{seam.group}]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    for lacking in contract:
        held = "\n".join(f"{each} = None" for each in contract - {lacking})
        (tmp_path / f"without_{lacking}.py").write_text(held)
        with pytest.raises(BrokenFile, match=rf"\(without_{lacking}\): it has no {lacking}$"):
            seam.find(f"no_{lacking}")


def test_what_the_user_can_mend_is_said_as_it_is(pruners):
    with pytest.raises(DataError, match=r"^no account$"):
        pruners.find("mends")


def test_one_that_fails_at_work_is_shown_with_its_line(pruners, tmp_path):
    with pytest.raises(BrokenFile, match=r"'raises' .*: 'depth' \(.*broken_raises\.py, line 4\)$"):
        make_pruner(new_study("raises", tmp_path / "raises"))
    pruner = make_pruner(new_study("ends", tmp_path / "ends"))
    with pytest.raises(BrokenFile, match=r"'ends' .*: division by zero \(.*broken_ends\.py, line 4\)$"):
        pruner.stop(0, 1000, 0.5)


def test_ours_come_first_and_all_are_listed_once(pruners):
    assert pruners.find("median").__name__ == "nas.pruners.median"
    assert pruners.names() == sorted({*PRUNERS.shipped(), *BROKEN})
    assert "median" not in pruners.of_others()


def test_an_unknown_name_is_answered_with_all_that_there_are(pruners):
    with pytest.raises(UnknownName, match=r"'medan'. Did you mean 'median'\? Known: empty, .*syntax"):
        pruners.find("medan")


def test_helpers_are_no_plugins():
    assert PRUNERS.shipped() == ["halving", "hyperband", "median", "none", "percentile", "standard_error"]
    assert LOGGERS.shipped() == ["jsonl"]


def test_a_fault_of_ours_is_not_blamed_on_anybody():
    with pytest.raises(ZeroDivisionError), PRUNERS.at_work("median"):
        raise ZeroDivisionError


def test_a_kind_to_which_others_add_nothing_has_no_entry_points():
    assert Plugins("room", "nas.pruners", None).of_others() == []


def test_a_stored_recipe_opens_without_its_plugins_and_from_before_there_were_any():
    stored = Recipe(sampler="gone", pruner="gone", engine="gone", log=("gone",)).model_dump(mode="json")
    assert Recipe.model_validate(stored).model_dump(mode="json") == stored
    before = {name: value for name, value in stored.items() if name not in ("engine", "log")}
    recipe = Recipe.model_validate(before | {"sampler": "tpe", "pruner": "median"})
    assert (recipe.engine, recipe.log) == ("local", ())
