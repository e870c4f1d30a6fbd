"""Databases that are only looked at: settled, in use, of an older version, or not to be written."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

import nas
from nas.errors import StorageError, StudyError
from nas.machine.file_systems import NETWORK
from nas.recipe import Recipe
from nas.study import tables
from nas.study.database import make_folder, open_database
from nas.study.lock import study_lock
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader
from nas.study.writer import StudyWriter
from tests.conftest import DIGITS, Nas
from tests.study.test_full_disk import disk, epoch, read_only  # noqa: F401

FOUND: dict[str, Any] = {"info": {**vars(DIGITS), "shape": [1, 8, 8], "augmentations": []}, "classes": []}

Filled = Callable[..., StudyWriter]


@pytest.fixture
def filled(tmp_path: Path, mlp: Any) -> Filled:
    """A study of two trials in a database, whose connections are closed."""

    def fill(url: str, folder: Path = tmp_path, name: str = "study") -> StudyWriter:
        storage = open_database(url, create=True)
        make_folder(folder / name)
        recipe = Recipe.load(space="mlp", study=name, sampler="random", pruner="none", folder=folder)
        store = StudyWriter.create(storage, name, folder, recipe, 1, FOUND, 2**30)
        store.begin()
        store.run_begins(["cpu"], {"cpu": 2**30})
        for value in (0.5, 0.75):
            trial = store.ask()
            store.enter(trial, mlp.suggest(trial, DIGITS), 7, Outcome.WAITING, excess=-0.5)
            store.start(trial.number, worker=0)
            store.report(trial, epoch(1))
            store.tell(trial.number, Outcome.COMPLETED, value=value)
        store.run_ends("trials")
        storage.close()
        return store

    return fill


def looked_at(url: str, folder: Path) -> StudyReader:
    return StudyReader.find(open_database(url, read_only=True), None, folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_look_leaves_neither_a_change_nor_a_file(tmp_path, filled):
    url = f"sqlite:///{tmp_path}/a%20b #?.db"
    filled(url)
    before = contents(tmp_path)
    store = looked_at(url, tmp_path)
    assert [record.value for record in store.trials()] == [0.5, 0.75]
    assert [record.placed_on for record in store.trials()] == ["cpu", "cpu"]
    assert contents(tmp_path) == before
    with pytest.raises(StorageError, match="read-only"):
        store.storage.write(text("UPDATE nas_schema SET version = version"))
    assert contents(tmp_path) == before


def test_a_look_sees_what_a_search_has_just_committed_and_the_search_is_not_hindered(tmp_path, filled):
    url = f"sqlite:///{tmp_path}/nas.db"
    driver = filled(url)
    before = looked_at(url, tmp_path)
    assert before.row["ended"] == "trials"
    with study_lock(driver.storage, "study"):
        driver.run_begins(["cpu"], {})
        assert looked_at(url, tmp_path).row["ended"] is None
        assert before.storage.read(select(tables.studies.c.ended)) == [{"ended": None}]
        driver.run_ends("stopped")
    assert looked_at(url, tmp_path).row["ended"] == "stopped"


@pytest.mark.parametrize("version", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_database_of_an_older_version_is_shown_and_stays_what_it_is(
    database_url, tmp_path, filled, version
):
    filled(database_url)
    ours = looked_at(database_url, tmp_path)
    after = {record.number: record for record in ours.trials()}
    row = dict(ours.row)
    age(database_url, version)
    store = looked_at(database_url, tmp_path)
    lost = {"searched_at", "metric"} if version == 2 else row.keys() - {*FIRST, "study_uuid"}
    assert store.row == row | dict.fromkeys(lost)
    for record in store.trials():
        assert (record.value, record.proposal) == (after[record.number].value, after[record.number].proposal)
        assert record.epochs[0].val_accuracy == 0.5
        assert record.placed_on is None
    assert store.companions() == []
    assert store.storage.read(select(tables.finals)) == []
    assert nas.load_study(storage=database_url, folder=tmp_path).to_json()["study"] == "study"
    assert store.storage.read(text("SELECT version FROM nas_schema")) == [{"version": version}]
    assert open_database(database_url).read(text("SELECT version FROM nas_schema")) == [
        {"version": tables.VERSION}
    ]


FIRST = ("name", "created_at", "recipe", "space_version", "data", "versions")


def age(url: str, version: int) -> None:
    """Undo the migrations."""
    storage = open_database(url)
    undone = [statement for step in reversed(range(version, tables.VERSION)) for statement in back(step)]
    undone += [f"DROP TABLE {table}" for table, since in NEW.items() if version < since]
    storage.write(*map(text, undone), text(f"UPDATE nas_schema SET version = {version}"))
    storage.close()


ADDED = {
    1: {
        "nas_studies": "memory_cap calibration devices budgets ended companion_of",
        "nas_trials": "duplicate_of plan predicted_memory predicted deaths recoveries",
        "nas_epochs": "peak_allocated peak_reserved",
    },
    2: {"nas_studies": "searched_at", "nas_trials": "placed_on"},
    3: {"nas_trials": "work predicted_seconds pace", "nas_epochs": "busy_seconds"},
    4: {"nas_studies": "forecast", "nas_trials": "progress"},
    6: {
        "nas_studies": "metric",
        "nas_epochs": "value",
        "nas_finals": "test_value",
        "nas_partial_reports": "value",
    },
}
"""Columns that the version after each has added, by table."""

NEW = {"nas_finals": 2, "nas_partial_reports": 6, "nas_counts": 7}
"""Tables, by the version that they came with."""


def back(step: int) -> list[str]:
    tables = ADDED.get(step, {}).items()
    undone = [f"ALTER TABLE {table} DROP COLUMN {name}" for table, names in tables for name in names.split()]
    renamed = ["ALTER TABLE nas_epochs RENAME COLUMN peak_resident TO peak_memory"]
    return undone + (renamed if step == 1 else [])


def test_a_database_of_a_newer_version_is_not_shown(database_url, tmp_path, filled):
    filled(database_url).storage.write(text("UPDATE nas_schema SET version = 99"))
    with pytest.raises(StorageError, match="written by a newer nas"):
        looked_at(database_url, tmp_path)


def test_a_role_that_may_only_select_sees_a_study(postgres, postgres_url, tmp_path, filled):
    filled(postgres_url)
    database = postgres_url.rpartition("/")[-1]
    postgres.sql("DO $$ BEGIN CREATE ROLE visitor LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    for statement in ("REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO visitor"):
        postgres.sql(statement, database)
    url = postgres.url(database, "visitor")
    with pytest.raises(StorageError, match="permission denied"):
        looked_at(url, tmp_path)
    postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor", database)
    study = nas.load_study(storage=url, folder=tmp_path)
    assert study.best.value == 0.75
    with pytest.raises(StorageError, match="read-only transaction"):
        looked_at(postgres_url, tmp_path).storage.write(text("UPDATE nas_studies SET ended = NULL"))


@pytest.mark.parametrize("there", ["nothing", "an empty file", "a database of others"])
def test_where_there_is_no_study_a_look_says_so_and_makes_none(tmp_path, there):
    file = tmp_path / "nas.db"
    if there == "an empty file":
        file.touch()
    if there == "a database of others":
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    before = contents(tmp_path)
    with pytest.raises(
        (StorageError, StudyError), match=r"There is no study yet.*Start one with: nas search"
    ):
        looked_at(f"sqlite:///{file}", tmp_path)
    assert contents(tmp_path) == before


def test_an_empty_database_of_a_server_has_no_study_and_is_left_empty(postgres, postgres_url, tmp_path):
    with pytest.raises(StorageError, match="There is no study yet"):
        looked_at(postgres_url, tmp_path)
    tables_there = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.sql(tables_there, postgres_url.rpartition("/")[-1]) == [(0,)]


def test_a_settled_study_on_a_network_disk_may_be_looked_at(tmp_path, filled, monkeypatch):
    url = f"sqlite:///{tmp_path}/nas.db"
    driver = filled(url)
    monkeypatch.setattr("nas.study.database.network_file_system", lambda file: min(NETWORK))
    assert looked_at(url, tmp_path).trials()
    driver.run_begins([], {})  # its write-ahead log now holds what the file lacks
    with pytest.raises(StorageError, match="network file system"):
        looked_at(url, tmp_path)


@pytest.mark.parametrize("command", ["show", pytest.param("watch", marks=pytest.mark.slow)])
def test_a_study_on_a_disk_that_may_only_be_read_is_shown(
    nas: Nas,
    disk: Path,  # noqa: F811
    filled: Filled,
    command: str,
) -> None:
    filled(f"sqlite:///{disk}/nas.db", disk)
    read_only(disk, True)
    code, out, err = nas(command, "--folder", disk)
    assert (code, err) == (0, "")
    assert "0.7500" in out


@pytest.mark.slow
def test_a_report_and_a_dashboard_of_a_study_that_may_only_be_read(
    nas: Nas,
    disk: Path,  # noqa: F811
    filled: Filled,
) -> None:
    from nas.views.dashboard.serving import open_dashboard

    filled(f"sqlite:///{disk}/nas.db", disk)
    read_only(disk, True)
    code, _, err = nas("report", "--folder", disk)
    assert (code, err) == (0, "")
    dashboard = open_dashboard(folder=disk, port=0)
    dashboard.server.close()
    assert dashboard.study == "study"


def test_a_search_on_a_disk_that_may_only_be_read_is_one_clear_line(nas: Nas, disk: Path, filled: Filled):  # noqa: F811
    filled(f"sqlite:///{disk}/nas.db", disk)
    read_only(disk, True)
    code, _, err = nas("search", "--study", "study", "--folder", disk, "--quiet")
    assert (code, err.count("\n")) == (2, 1)
    assert "Make the file and its folder" in err or "cannot be written" in err
