"""What the study keeps."""

import json
import os
import sqlite3

import pytest
from sqlalchemy import Engine, event, select

from nas.errors import UnknownName
from nas.recipe import Recipe
from nas.study import tables
from nas.study.database import open_database
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader
from nas.study.writer import StudyWriter


def test_the_password_of_the_database_is_not_stored(tmp_path):
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    recipe = Recipe.load(storage="postgresql://me:secret@host/database")
    store = StudyWriter.create(storage, "study", tmp_path, recipe, 1, {})
    store.take_over(recipe, memory_cap=2**20)
    assert "secret" not in json.dumps(store.recipe.model_dump(mode="json"))
    assert b"secret" not in (tmp_path / "nas.db").read_bytes()


def test_a_study_whose_folder_is_a_link_keeps_its_companions_beside_the_link(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "large disk").mkdir()
    (tmp_path / "studies" / "study").symlink_to(tmp_path / "large disk")
    storage = open_database(f"sqlite:///{tmp_path}/studies/nas.db", create=True)
    recipe = Recipe.load(space="mlp")
    store = StudyWriter.create(storage, "study", tmp_path / "studies", recipe, 1, {})
    store.add_companion("study.resnet8", recipe, 1)
    (companion,) = store.companions()
    assert companion.folder == tmp_path / "studies" / "study.resnet8"
    assert companion.folder.is_dir()


def test_the_latest_study_is_the_one_that_was_searched_last(tmp_path):
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    stores = {}
    for name in ("first", "second", "third"):
        stores[name] = StudyWriter.create(storage, name, tmp_path, Recipe.load(space="mlp"), 1, {})
        assert StudyReader.find(storage, None, tmp_path).name == name, "none was searched yet"
    for name in ("third", "first", "second", "first"):
        stores[name].run_begins(["cpu"], {})
        assert StudyReader.find(storage, None, tmp_path).name == name


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("a\0b", r"a\x00b"),
        ("half \ud83d", r"half \ud83d"),
        ("\udcff.png", r"\udcff.png"),
        ("猫 \U0001f431", None),
    ],
    ids=["NUL", "high half", "byte", "letters"],
)
def test_whatever_a_failure_says_can_be_stored(database_url, tmp_path, said, kept):
    storage = open_database(database_url, create=True)
    recipe = Recipe.load(space="mlp", sampler="random", pruner="none")
    store = StudyWriter.create(storage, "study", tmp_path, recipe, 1, {"said": said})
    store.begin()
    trial = store.ask()
    trial.set_user_attr("said", said)
    store.tell(trial.number, Outcome.FAILED, reason=said)
    store.describe(trial.number, device=said)
    (record,) = store.trials()
    assert (record.reason, record.device) == (kept or said, kept or said)
    with pytest.raises(UnknownName):
        StudyReader.find(storage, said, tmp_path)


VERSION_1 = """
CREATE TABLE nas_schema (version INTEGER PRIMARY KEY);
INSERT INTO nas_schema VALUES (1);
CREATE TABLE nas_studies (study_uuid VARCHAR(36) PRIMARY KEY, name VARCHAR(512) NOT NULL,
    created_at DATETIME NOT NULL, recipe JSON NOT NULL, space_version INTEGER NOT NULL, data JSON NOT NULL,
    versions JSON NOT NULL);
CREATE TABLE nas_trials (study_uuid VARCHAR(36), number INTEGER, outcome VARCHAR(16) NOT NULL, reason TEXT,
    value FLOAT, num_parameters BIGINT, multiply_adds BIGINT, proposal JSON, digest VARCHAR(64), seed BIGINT,
    worker INTEGER, device VARCHAR(64), versions JSON, started_at DATETIME, finished_at DATETIME,
    retry_of INTEGER, PRIMARY KEY (study_uuid, number));
CREATE TABLE nas_epochs (study_uuid VARCHAR(36), number INTEGER, epoch INTEGER, train_loss FLOAT,
    val_loss FLOAT, val_accuracy FLOAT, learning_rate FLOAT, seconds FLOAT, images_per_second FLOAT,
    peak_memory BIGINT, PRIMARY KEY (study_uuid, number, epoch));
INSERT INTO nas_epochs VALUES ('u', 0, 1, 1.0, 1.0, 0.5, 0.1, 2.0, 100.0, 4096);
"""


def test_a_database_of_the_first_version_is_brought_to_ours(tmp_path):
    file = tmp_path / "nas.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(VERSION_1)
    storage = open_database(f"sqlite:///{file}", create=False)
    (epoch,) = storage.read(select(tables.epochs))
    assert (epoch["val_accuracy"], epoch["peak_resident"], epoch["peak_allocated"]) == (0.5, 4096, None)
    recipe = Recipe.load(space="mlp", pruner="none")
    store = StudyWriter.create(storage, "study", tmp_path, recipe, 1, {}, memory_cap=2**20)
    store.begin()
    assert store.memory_cap == 2**20
    assert storage.read(select(tables.schema)) == [{"version": tables.VERSION}]
    assert open_database(f"sqlite:///{file}", create=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that dies is a fork")
@pytest.mark.parametrize("step", [1, 3, 17])
def test_a_database_that_loses_its_power_while_it_is_brought_to_ours_is_brought_there_next_time(
    tmp_path, step
):
    file = tmp_path / "nas.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(VERSION_1)
    child = os.fork()
    if child == 0:
        done = []

        @event.listens_for(Engine, "after_cursor_execute")
        def lose_power(connection, cursor, statement, *_):
            done.append(statement) if statement.startswith("ALTER TABLE nas_") else None
            if len(done) == step:
                os._exit(9)

        try:
            open_database(f"sqlite:///{file}", create=False)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9

    storage = open_database(f"sqlite:///{file}", create=False)
    (epoch,) = storage.read(select(tables.epochs))
    assert epoch["peak_resident"] == 4096
    assert storage.read(select(tables.schema)) == [{"version": tables.VERSION}]
