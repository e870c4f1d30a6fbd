"""Who opens a path: what is in it decides, and no order."""

import sys
from pathlib import Path

import pytest

from nas.datasets import known_datasets, open_data, source_name
from nas.datasets.finding import find_source
from nas.datasets.sources.folder import Folder
from nas.errors import BrokenFile, DataError
from nas.machine.plugins import DATASETS

from .samples import pixels, write_folder

MARKED = """
from pathlib import Path
from nas.datasets.sources.folder import Folder

def takes(source):
    return source.startswith("{scheme}:") or (Path(source) / "{mark}").is_file()

def open(source, downloads, rules):
    return Marked(Path(source.removeprefix("{scheme}:")), rules)

class Marked(Folder):
    by = "{mark}"
"""

TWO = {"aaa": MARKED.format(mark="labels", scheme="x"), "zzz": MARKED.format(mark="table", scheme="y")}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Offers sources: some as files of the package, others as entry points of a distribution."""
    folder, site = tmp_path / "package", tmp_path / "site"
    facts = site / "theirs-1.0.dist-info"
    for place in (folder, facts):
        place.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    package = sys.modules["nas.datasets.sources"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.syspath_prepend(site)
    names = []

    def install(ours=(), theirs=()):
        for name, source in dict(ours).items():
            (folder / f"{name}.py").write_text(source)
        for name, source in dict(theirs).items():
            (site / f"{name}.py").write_text(source)
        points = "".join(f"{name} = {name}\n" for name in dict(theirs))
        (facts / "entry_points.txt").write_text(f"[nas.datasets]\n{points}")
        names.extend([*dict(ours), *dict(theirs)])

    yield install
    for name in names:
        sys.modules.pop(name, None)
        sys.modules.pop(f"nas.datasets.sources.{name}", None)
        vars(package).pop(name, None)


def found(source):
    return find_source(str(source), None, 2)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_folder_that_bears_a_mark_goes_to_the_source_that_knows_it(tmp_path, install, whose):
    install(
        **{
            whose: {
                "aaa": MARKED.format(mark="labels", scheme="x"),
                "zzz": MARKED.format(mark="table", scheme="y"),
            }
        }
    )
    write_folder(tmp_path / "pets", pixels(6, 4, 4))
    assert type(found(tmp_path / "pets")) is Folder
    for mark in ("labels", "table"):
        (tmp_path / "pets" / mark).touch()
        assert found(tmp_path / "pets").by == mark
        (tmp_path / "pets" / mark).unlink()


def test_two_that_know_the_same_are_told_and_no_order_decides(tmp_path, install):
    install(TWO)
    for mark in ("labels", "table"):
        write_folder(tmp_path / "pets", pixels(6, 4, 4))
        (tmp_path / "pets" / mark).touch()
    with pytest.raises(DataError, match="pets can be read in more ways than one: as aaa, or as zzz"):
        open_data(str(tmp_path / "pets"))


def test_what_is_no_path_may_be_known_by_a_source_too(tmp_path, install):
    install({"aaa": MARKED.format(mark="labels", scheme="hub")})
    write_folder(tmp_path / "pets", pixels(6, 4, 4))
    assert found(f"hub:{tmp_path / 'pets'}").by == "labels"


def test_a_broken_source_of_others_is_told_to_whoever_names_it_and_to_nobody_else(tmp_path, install):
    install(theirs={"broken": "import nowhere_to_be_found\n"})
    write_folder(tmp_path / "pets", pixels(6, 4, 4))
    assert type(found(tmp_path / "pets")) is Folder
    assert "broken" in known_datasets()
    with pytest.raises(BrokenFile, match=r"Dataset 'broken' \(broken\): No module .*broken\.py, line 1"):
        found("broken")


def test_a_source_of_others_that_lacks_an_account_stops_nobody_else(tmp_path, install):
    install(theirs={"cloud": "from nas.errors import DataError\nraise DataError('no account')\n"})
    write_folder(tmp_path / "pets", pixels(6, 4, 4))
    assert type(found(tmp_path / "pets")) is Folder
    with pytest.raises(DataError, match=r"^no account$"):
        found("cloud")


def test_a_suffix_is_known_in_any_case(tmp_path):
    (tmp_path / "A.NPZ").mkdir()
    with pytest.raises(DataError, match="it is a folder, no file"):
        found(tmp_path / "A.NPZ")
    assert source_name("x/A.NPZ") == "A"


def test_no_name_is_offered_twice():
    offered = [name for each in DATASETS.shipped() for name in getattr(DATASETS.find(each), "NAMES", ())]
    assert len(set(offered)) == len(offered)
    assert {"digits", "cifar10"} <= set(offered)
    assert Path(DATASETS.find("npz").__file__).parent.name == "sources"
