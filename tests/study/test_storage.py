"""Database URLs, good and bad."""

import sqlite3

import pytest
from sqlalchemy import text

from nas.errors import StorageError
from nas.study.storage import open_storage, redacted


def test_sqlite_runs_in_wal_mode_with_full_synchronisation(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/new/nas.db", create=True)
    with storage.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is no database URL. Write sqlite:///studies/nas.db or postgresql://"),
        ("nosuch://host/database", "is no database URL"),
        ("sqlite://", "give SQLite a file"),
        ("sqlite:///{folder}", "is a folder, not a SQLite database"),
        ("sqlite:///{folder}/text.db", "is no SQLite database. Nothing was changed."),
        ("sqlite:///{folder}/text.db/below/nas.db", "cannot be written"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_clear_line(tmp_path, url, message):
    (tmp_path / "text.db").write_text("I am no database, and longer than sixteen bytes.")
    with pytest.raises(StorageError) as error:
        open_storage(url.format(folder=tmp_path), create=True)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "text.db").read_text().startswith("I am no database")


def test_a_study_database_that_is_not_there_is_not_created_by_looking(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        open_storage(f"sqlite:///{tmp_path}/nas.db", create=False)
    assert not (tmp_path / "nas.db").exists()


def test_a_database_of_a_newer_nas_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    open_storage(url, create=True).engine.dispose()
    with sqlite3.connect(tmp_path / "nas.db") as connection:
        connection.execute("UPDATE nas_schema SET version = 99")
    with pytest.raises(StorageError, match="written by a newer nas"):
        open_storage(url, create=True)


def test_a_database_of_another_optuna_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/nas.db"
    open_storage(url, create=True).engine.dispose()
    with sqlite3.connect(tmp_path / "nas.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0'")
    with pytest.raises(StorageError, match="Optuna"):
        open_storage(url, create=True)


@pytest.mark.parametrize("url", ["postgresql://u:secret@host/db", "nosuch://u:secret@host", "u:secret@host"])
def test_a_password_never_appears(url):
    assert "secret" not in redacted(url)
    with pytest.raises(StorageError) as error:
        open_storage(url.replace("host", "127.0.0.1:1"), create=True)
    assert "secret" not in str(error.value)
