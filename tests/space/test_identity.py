"""A path is not an identity: what moved goes on, and no file is run because a database names it."""

import builtins
import json
import shutil
import sqlite3

import numpy as np
import pytest
from PIL import Image

from nas.space.load import load_space
from tests.space.test_load import MINIMAL

TINY = ("--trials", 1, "--epochs", 1, "--workers", 1, "--threads", 1, "--device", "cpu", "--quiet")

RAN = "import builtins\nbuiltins.ran = getattr(builtins, 'ran', 0) + 1\n"


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A user who has run nothing yet, with engines that train nothing."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path, nas, scripted):
    """A folder with a space, what it imports, images and a study."""
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    (folder / "blocks.py").write_text("WIDTH = 4\n")
    source = MINIMAL.replace("@dataclass", "from blocks import WIDTH\n@dataclass", 1)
    (folder / "my_space.py").write_text(source.replace("1, 4", "1, WIDTH"))
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 8), dtype=np.uint8)
    for name, images in zip(("cat", "dog"), pixels, strict=True):
        (folder / "images" / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(folder / "images" / name / f"{index}.png")
    assert search(nas, folder, "--space", folder / "my_space.py", "--data", folder / "images")[0] == 0
    return folder


def search(nas, folder, *arguments):
    return nas("search", "--study", "s", "--folder", folder / "studies", *TINY, *arguments)


def forget(tmp_path):
    """From here on it is another user, or another machine."""
    shutil.rmtree(tmp_path / "cache" / "user_files")


def shown(nas, folder):
    return json.loads(nas("show", "--folder", folder / "studies", "--json")[1])


def test_images_that_moved_are_the_same(nas, project, tmp_path):
    (project / "images").rename(tmp_path / "elsewhere")
    code, _, err = search(nas, project)
    assert code == 2
    assert f"No dataset at {project / 'images'}" in err
    assert "--data PATH" in err
    assert search(nas, project, "--data", tmp_path / "elsewhere", "--trials", 2)[0] == 0
    assert search(nas, project, "--trials", 3)[0] == 0, "it is known from now on"
    assert shown(nas, project)["recipe"]["data"] == str(tmp_path / "elsewhere")
    assert shown(nas, project)["counts"]["completed"] == 3


def test_other_images_are_refused_with_what_to_do(nas, project, tmp_path):
    shutil.copytree(project / "images", tmp_path / "others")
    Image.new("RGB", (8, 8)).save(tmp_path / "others" / "cat" / "0.png")
    code, _, err = search(nas, project, "--data", tmp_path / "others")
    assert (code, err.count("\n")) == (2, 1)
    assert "are not those of study 's'" in err
    assert str(project / "images") in err


def test_a_space_file_that_moved_is_the_same_under_any_name(nas, project, tmp_path):
    (tmp_path / "there").mkdir()
    (project / "my_space.py").rename(tmp_path / "there" / "renamed.py")
    (project / "blocks.py").rename(tmp_path / "there" / "blocks.py")
    code, _, err = search(nas, project)
    assert (code, err.count("\n")) == (2, 1)
    assert "--space FILE" in err
    assert search(nas, project, "--space", tmp_path / "there" / "renamed.py", "--trials", 2)[0] == 0
    assert search(nas, project, "--trials", 3)[0] == 0


@pytest.mark.parametrize("file", [pytest.param("my_space.py", marks=pytest.mark.slow), "blocks.py"])
def test_a_file_elsewhere_that_holds_something_else_is_refused(nas, project, tmp_path, file):
    there = tmp_path / "there"
    there.mkdir()
    for each in ("my_space.py", "blocks.py"):
        shutil.copy(project / each, there / each)
    (there / file).write_text((there / file).read_text() + "ELSE = 1\n")
    code, _, err = search(nas, project, "--space", there / "my_space.py", "--trials", 2)
    assert (code, err.count("\n")) == (2, 1)
    assert "this one differs" in err
    assert "--study OTHER" in err


@pytest.mark.parametrize(
    "linked", [pytest.param(False, marks=pytest.mark.slow), True], ids=["moved", "behind a link"]
)
def test_a_whole_project_may_move(nas, project, tmp_path, linked):
    laptop = project.rename(tmp_path / "laptop")
    if linked:
        (tmp_path / "link").symlink_to(laptop)
        laptop = tmp_path / "link"
    assert search(nas, laptop, "--trials", 2)[0] == 0
    assert "classifier" not in nas("show", "--folder", laptop / "studies", "--trial", 0)[2]
    assert shown(nas, laptop)["recipe"]["data"] == str(laptop / "images")


@pytest.mark.slow
def test_a_relative_path_of_images_is_found_from_anywhere(nas, project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    (project / "studies").rename(project / "old")
    assert search(nas, project, "--space", "./my_space.py", "--data", "images")[0] == 0
    project.rename(tmp_path / "laptop")
    monkeypatch.chdir(tmp_path)
    assert search(nas, tmp_path / "laptop", "--trials", 2)[0] == 0


def plant(project):
    """Somebody else's content in the file that the study names."""
    (project / "my_space.py").write_text(RAN + (project / "my_space.py").read_text())


RUNS = (("search", "--study", "s", "--trials", 2), ("train", "s"), ("inspect", "s"))
LOOKS = (("show", "s", "--trial", 0), ("show", "s"), ("show", "s", "--json"), ("watch", "s"))


@pytest.mark.parametrize("looks", [LOOKS, pytest.param([("report", "s")], marks=pytest.mark.slow)])
def test_no_command_runs_a_file_that_only_the_database_names(nas, project, looks, monkeypatch):
    import builtins

    monkeypatch.setattr(builtins, "ran", 0, raising=False)
    plant(project)
    for command in (*RUNS, *looks):
        code, out, err = nas(*command, "--folder", project / "studies")
        assert builtins.ran == 0, command
        assert "Traceback" not in out + err
        if command in RUNS:
            assert (code, err.count("\n")) == (2, 1)
            assert "is not run because a study names it" in err
            assert "--space FILE" in err
        else:
            assert code == 0, command
        if "--trial" in command:
            assert " ".join(out.split()).count("is not run because a study names it") == 1
            assert "Parameters of the search" in out


def test_what_another_user_has_run_is_run_once_it_is_named(nas, project, tmp_path):
    import nas as package

    forget(tmp_path)
    study = package.load_study("s", folder=project / "studies")
    with pytest.raises(package.NasError, match="is not run because a study names it"):
        study.best.build()
    named = package.load_study("s", folder=project / "studies", space=str(project / "my_space.py"))
    assert named.best.build()
    assert study.best.build(), "it is known from now on, to every command"


def test_a_changed_module_beside_a_known_file_is_not_run(nas, project):
    import nas as package

    study = package.load_study("s", folder=project / "studies")
    assert study.best.build()
    (project / "blocks.py").write_text("WIDTH = 5\n")
    with pytest.raises(package.NasError, match="you have not run it before, as it is now"):
        study.best.build()


@pytest.mark.slow
def test_a_baseline_of_a_file_is_shown_by_name_without_being_run(nas, project, tmp_path, capsys):
    baseline = tmp_path / "mine.py"
    flat = MINIMAL.replace('trial.suggest_int("width", 1, 4)', "1")
    baseline.write_text("print('hello')\n" + flat.replace('trial.suggest_float("lr", 0.01, 0.1)', "0.1"))
    code, out, _ = search(nas, project, "--baseline", baseline, "--trials", 2)
    assert (code, out.count("\n")) == (0, 1)
    baseline.unlink()
    assert next(each["name"] for each in shown(nas, project)["baselines"]) == "mine"
    code, _, err = search(nas, project, "--trials", 3)
    assert (code, err.count("\n")) == (2, 1)
    assert "--baseline FILE" in err


def test_a_study_from_before_contents_were_stored_goes_on_where_its_space_is_named(nas, project, tmp_path):
    with sqlite3.connect(project / "studies" / "nas.db") as database:
        ((data,),) = database.execute("SELECT data FROM nas_studies")
        facts = {name: value for name, value in json.loads(data).items() if name != "space"}
        database.execute("UPDATE nas_studies SET data = ?", (json.dumps(facts),))
    forget(tmp_path)
    (tmp_path / "there").mkdir()
    for each in ("my_space.py", "blocks.py"):
        (project / each).rename(tmp_path / "there" / each)
    there = tmp_path / "there" / "my_space.py"
    other = tmp_path / "there" / "other.py"
    other.write_text(there.read_text().replace("batch_size=32", "batch_size=16"))
    code, _, err = search(nas, project, "--space", other, "--trials", 2)
    assert code == 2
    assert "could not be compared" in err
    assert search(nas, project, "--space", there, "--trials", 2)[0] == 0
    assert shown(nas, project)["data"]["space"]["digest"] == load_space(str(there)).digest


def test_a_known_space_cannot_stand_in_for_a_file(nas, project):
    code, _, err = nas("train", "s", "--space", "mlp", "--folder", project / "studies")
    assert code == 2
    assert "was made with search space" in err


@pytest.mark.slow
def test_nothing_is_lost_where_the_cache_cannot_be_written(nas, project, tmp_path):
    forget(tmp_path)
    (tmp_path / "cache" / "user_files").write_text("in the way")
    space = project / "my_space.py"
    assert search(nas, project, "--space", space, "--trials", 2)[0] == 0


@pytest.mark.parametrize("setting", ["space", "baseline"])
def test_a_file_that_only_a_recipe_names_is_not_run_unseen(nas, scripted, tmp_path, setting):
    file = tmp_path / "sent.py"
    file.write_text(RAN + MINIMAL)
    (tmp_path / "sent.toml").write_text(f"{setting} = {str(file)!r}\n")
    before = getattr(builtins, "ran", 0)
    code, _, err = nas("search", "--recipe", "sent.toml", *TINY)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--{setting} {file}" in err
    assert getattr(builtins, "ran", 0) == before
    assert nas("recipe", "--recipe", "sent.toml")[0] == 0, "which runs nothing"
    load_space(str(file))  # its user has named it
    assert nas("search", "--recipe", "sent.toml", *TINY)[0] == 0 or setting == "baseline"
