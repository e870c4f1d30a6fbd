"""A study of a table remembers its columns and where its images lie, and finds both again."""

import json
from pathlib import Path

import pytest

from nas.datasets import open_data
from nas.datasets.rules import NEWEST
from nas.driver.prepare import open_images, reopened
from nas.study.database import open_database, storage_url
from nas.study.reader import StudyReader
from tests.conftest import Nas
from tests.datasets.samples import pixels, write_folder

TINY = ("--space=mlp", "--epochs=1", "--workers=1", "--threads=1", "--device=cpu", "--study=s", "--quiet")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, and a table elsewhere whose label is in the column `kind`."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    project = tmp_path / "project"
    write_folder(project / "pictures", pixels(24, 8, 8))
    rows = [f"{p.parent.name}/{p.stem},{p.parent.name},{p.stem}" for p in project.rglob("*.png")]
    (project / "lists").mkdir()
    (project / "lists/all.csv").write_text("\n".join(["id,kind,number", *rows]))
    return project


SAID = ("--columns=label=kind,image=id", "--root=pictures")


@pytest.mark.usefixtures("scripted")
def test_a_study_goes_on_without_being_told_again_and_after_a_move(
    nas: Nas, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert nas("search", *TINY, "--trials=1", "--data=lists/all.csv", *SAID)[0] == 0
    assert nas("search", "--study=s", "--trials=1", "--quiet")[0] == 0
    recipe = json.loads(nas("show", "s", "--json")[1])["recipe"]
    assert recipe["columns"] == {"label": "kind", "image": "id"}
    assert recipe["root"] == str(project / "pictures")
    code, _, err = nas("search", "--study=s", "--trials=1", "--columns=label=number", "--quiet")
    assert (code, err.count("\n")) == (2, 1)

    moved = project.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    assert nas("search", "--study=s", "--trials=1", "--quiet")[0] == 0, "with the folder of the results"
    recipe = json.loads(nas("show", "s", "--json")[1])["recipe"]
    assert recipe["root"] == str(moved / "pictures")
    for part in ("lists", "pictures"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (moved / part).rename(tmp_path / "elsewhere" / part)
    code, _, err = nas("search", "--study=s", "--trials=1", "--quiet")
    assert (code, "No dataset at" in err) == (2, True)
    data = str(tmp_path / "elsewhere/lists/all.csv")
    assert nas("search", "--study=s", "--trials=1", f"--data={data}", "--quiet")[0] == 0, "root beside it"
    store = StudyReader.find(open_database(storage_url(None, Path("studies"))), "s", Path("studies"))
    with reopened(store, None) as run:
        assert run.store.recipe.root == tmp_path / "elsewhere/pictures"
        assert open_images(run.store.recipe, rules=NEWEST) == run.data


def test_a_recipe_says_the_same(nas: Nas, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    Path("my.toml").write_text(
        'data = "lists/all.csv"\nroot = "pictures"\ncolumns = { image = "id", label = "kind" }\n'
    )
    flags = nas("recipe", "--data=lists/all.csv", *SAID)[1]
    assert 'columns = { label = "kind", image = "id" }' in flags
    assert 'columns = { image = "id", label = "kind" }' in nas("recipe", "--recipe=my.toml")[1]
    code, _, err = nas("recipe", "--columns=class=kind")
    assert (code, err.count("\n")) == (2, 1)
    assert "image=NAME or label=NAME or split=NAME or group=NAME" in err


@pytest.mark.slow
def test_the_whole_way_from_a_table_to_predictions(
    nas: Nas, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert nas("search", *TINY, "--trials=1", "--data=lists/all.csv", *SAID)[0] == 0
    assert nas("train", "s", "--top=1", "--seeds=1", "--epochs=1")[0] == 0
    assert nas("export", "s", "--format=torch", "--out=model")[0] == 0
    code, out, _ = nas("predict", "model", "pictures/cat/000.png", "--json")
    assert code == 0
    classes = set(open_data("lists/all.csv", columns={"label": "kind"}, root=Path("pictures")).classes)
    assert {each["class"] for each in json.loads(out)[0]["predictions"]} == classes == {"cat", "dog", "emu"}
