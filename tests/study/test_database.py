"""Database URLs, good and bad."""

import ctypes
import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections import namedtuple

import psutil
import pytest
from sqlalchemy import text

from nas.errors import StorageError
from nas.machine.file_systems import network_file_system
from nas.study import database as storage_module
from nas.study.database import open_database, redacted, storage_errors, storage_url
from nas.study.writer import StudyWriter
from tests.scripted import learns, run

Mount = namedtuple("Mount", "mountpoint fstype")


@pytest.mark.usefixtures("power_cuts")
def test_sqlite_runs_in_wal_mode_with_full_synchronisation(tmp_path):
    storage = open_database(f"sqlite:///{tmp_path}/new/nas.db", create=True)
    with storage.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2


@pytest.mark.usefixtures("power_cuts")
def test_sqlite_synchronises_fully_where_it_was_built_to_do_less(tmp_path, monkeypatch):
    connections = []

    def hasty(connection, statement, *parameters):
        if connection not in connections:
            connections.append(connection)
            sqlite3.Connection.execute(connection, "PRAGMA synchronous=OFF")
        return sqlite3.Connection.execute(connection, statement, *parameters)

    monkeypatch.setattr(storage_module.WalConnection, "execute", hasty, raising=False)
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    with storage.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == 2


def test_postgresql_is_opened_by_url_through_tcp_and_unix_sockets(postgres, postgres_url):
    with open_database(postgres_url, create=True).engine.connect() as connection:
        assert connection.scalar(text("SELECT version FROM nas_schema")) >= 1
    again = open_database(postgres.socket_url(postgres_url.rpartition("/")[-1]), create=False)
    assert again.get_all_studies() == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is no database URL. Write sqlite:///studies/nas.db or postgresql://"),
        ("nosuch://host/database", "is no database URL that nas can use: it needs SQLite or PostgreSQL"),
        ("mysql://host/database", "it needs SQLite or PostgreSQL"),
        ("postgres://host:port/database", "is no database URL"),
        ("postgresql://host:port/database", "is no database URL"),
        ("sqlite://", "give SQLite a file"),
        ("sqlite:///:memory:", "give SQLite a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "give SQLite a file"),
        ("sqlite:///{folder}/new.db?timeout=5", "three slashes and a file, nothing else"),
        ("sqlite://host/nas.db", "three slashes and a file, nothing else"),
        ("sqlite:///{folder}", "is a folder, not a SQLite database"),
        ("sqlite:///{folder}/text.db", "is no SQLite database. Nothing was changed."),
        ("sqlite:///{folder}/text.db/below/nas.db", "cannot be written"),
        ("sqlite:///{folder}/nul\0.db", "cannot be read"),
        ("sqlite:///{folder}/damaged.db", "it is damaged. Restore a copy of it, or use another file"),
        ("postgresql://me@127.0.0.1:1/database", "Connection refused. Start the server, or correct host and"),
        ("postgresql://me@/database?host=/nowhere", "No such file or directory. Start the server"),
        ("postgresql://me@nowhere.invalid/database", "Correct the host's name in the URL"),
        ("postgresql://me@127.0.0.1:1/database?colour=red", "Correct what follows the question mark"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_clear_line(tmp_path, url, message):
    (tmp_path / "text.db").write_text("I am no database, and longer than sixteen bytes.")
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"\x10\x00\x01\x01" + b"damaged" * 2000)
    with pytest.raises(StorageError) as error:
        open_database(url.format(folder=tmp_path), create=True)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "text.db").read_text().startswith("I am no database")


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql+psycopg2", "postgresql+asyncpg", "postgres+pg8000"]
)
def test_every_spelling_of_a_postgresql_url_is_taken(postgres_url, scheme):
    url = postgres_url.replace("postgresql", scheme)
    storage = open_database(url, create=True)
    assert storage.read(text("SELECT count(*) AS tables FROM nas_schema")) == [{"tables": 1}]
    assert storage.shown == url


@pytest.mark.parametrize(
    ("user", "database", "message"),
    [
        ("locked:wrong", "postgres", 'password authentication failed for user "locked". Put the right one'),
        ("locked", "postgres", "no password supplied. Put it into the URL, PGPASSWORD or ~/.pgpass"),
        ("nobody", "postgres", 'role "nobody" does not exist. Correct the user'),
        ("tester", "nowhere", 'database "nowhere" does not exist. Create it with createdb'),
    ],
)
def test_a_server_that_refuses_says_why_and_what_to_do(postgres, monkeypatch, user, database, message):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(StorageError) as error:
        open_database(postgres.url(database, user), create=True)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "wrong" not in str(error.value)


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"pip install 'optuna-nas\[postgres\]'"):
        open_database("postgresql://me@host/database", create=True)


def test_a_study_database_that_is_not_there_is_not_created_by_looking(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        open_database(f"sqlite:///{tmp_path}/nas.db", create=False)
    assert not (tmp_path / "nas.db").exists()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE nas_schema SET version = 99", "written by a newer nas"),
        ("UPDATE alembic_version SET version_num = 'v99.0.0'", "tables of another Optuna"),
    ],
)
def test_a_database_of_a_newer_schema_is_refused(database_url, statement, message):
    storage = open_database(database_url, create=True)
    with storage.engine.begin() as connection:
        connection.execute(text(statement))
    with pytest.raises(StorageError, match=message) as error:
        open_database(database_url, create=True)
    assert "\n" not in str(error.value)


def test_a_database_that_another_program_has_locked_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "SQLITE_TIMEOUT", 0.05)
    other = sqlite3.connect(tmp_path / "nas.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StorageError, match="another program has locked it"):
        open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    other.execute("COMMIT")
    open_database(f"sqlite:///{tmp_path}/nas.db", create=True)


def test_a_reader_in_the_midst_of_a_long_look_never_blocks_a_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "SQLITE_TIMEOUT", 0.05)
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    reader = sqlite3.connect(tmp_path / "nas.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM studies").fetchall()
    storage.write(text("UPDATE nas_schema SET version = version"))


def test_many_may_open_an_empty_database_at_once(database_url):
    errors = []

    def open_it():
        try:
            open_database(database_url, create=True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.skipif(sys.platform != "linux", reason="root gives up a Linux capability")
@pytest.mark.parametrize("readonly", ["file", "folder"])
def test_a_database_that_cannot_be_written_is_one_clear_line(tmp_path, readonly):
    folder = tmp_path / "studies"
    url = f"sqlite:///{folder}/nas.db"
    open_database(url, create=True).close()
    (folder if readonly == "folder" else folder / "nas.db").chmod(0o555)
    write = (
        "import sys; from sqlalchemy import text; from nas.study.database import open_database;"
        "open_database(sys.argv[1], create=True).write(text('UPDATE nas_schema SET version = version'))"
    )
    child = subprocess.run(
        [sys.executable, "-c", write, url], preexec_fn=obey_permissions, capture_output=True, text=True
    )
    line = child.stderr.splitlines()[-1]
    assert line.startswith("nas.errors.StorageError: ")
    assert "writable" in line


def obey_permissions() -> None:
    """Permissions bind root too, once it has given up the right to override them."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        *[(kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "9p", "beegfs", "afs")],
        *[(kind, True) for kind in ("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuseblk.sshfs", "NFS")],
        *[(kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk")],
        *[(kind, False) for kind in ("fuse.mergerfs", "virtiofs", "")],
    ],
)
def test_sqlite_is_refused_on_a_network_file_system(tmp_path, monkeypatch, kind, refused):
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), kind), Mount(str(tmp_path / "else"), "ext4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    url = f"sqlite:///{tmp_path}/studies/nas.db"
    if not refused:
        open_database(url, create=True)
        return
    with pytest.raises(
        StorageError, match=r"network file system \(.*Use a local folder with --folder, or Postgr"
    ):
        open_database(url, create=True)
    assert not (tmp_path / "studies").exists()


def test_the_deepest_mount_and_of_two_the_later_one_decides(tmp_path, monkeypatch):
    mounts = [Mount("/", "nfs"), Mount(str(tmp_path), "nfs"), Mount(str(tmp_path), "ext4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert network_file_system(tmp_path / "a" / "b") is None
    assert network_file_system(tmp_path.parent) == "nfs"


SECRETS = [
    "postgres://u:secret@host/db",
    "postgresql+psycopg2://u:secret@host/db?password=secret",
    "postgresql://u:secret@host/db",
    "postgresql+psycopg://u:secret@host/db",
    "postgresql://u@host/db?password=secret",
    "postgresql://u@host/db?sslpassword=secret&sslmode=require",
    "postgresql://u:se/secret@host/db",
    "postgresql://u:#secret@host:x/db",
    "postgresql://u:secret@ecret@host/db",
    "postgresql://u:{secret}@host/db",
    "postgresql://u:%73ecret@host/db",
    "nosuch://u:secret@host",
    "u:secret@host",
    "host/db?password=secret&x=y",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_never_appears(url):
    assert "ecret" not in redacted(url)
    with pytest.raises(StorageError) as error:
        open_database(url.replace("host", "127.0.0.1:1"), create=True)
    chain = []
    cause = error.value
    while cause is not None:  # what a log of the whole traceback would show
        chain.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    assert not [said for said in chain if "ecret" in said.replace("sslpassword", "")]


@pytest.mark.parametrize("name", ["{a}", "%20", "ä ö", "a#b", "{}", "a?b", "a@b"])
def test_any_folder_may_hold_a_database(tmp_path, name):
    folder = tmp_path / name
    open_database(storage_url(None, folder), create=True)
    assert (folder / "nas.db").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path, code):
    with (
        pytest.raises(StorageError, match=r"trial\.pt: .*the same command goes on"),
        storage_errors("x", tmp_path),
    ):
        raise OSError(code, os.strerror(code), "trial.pt")


def test_other_errors_of_the_operating_system_are_left_as_they_are(tmp_path):
    with pytest.raises(ChildProcessError), storage_errors("x", tmp_path):
        raise OSError(errno.ECHILD, "no child")


@pytest.mark.parametrize(
    ("suffixes", "said", "left"),
    [
        (("",), "was deleted or replaced while the search ran. What was stored in it is gone", None),
        (("", "-wal", "-shm"), "What was stored in it is gone", None),
        (("-wal",), "nas.db-wal was deleted while the search ran.*That was done now", 2),
        (("-wal", "-shm"), "nas.db-wal was deleted while the search ran.*That was done now", 2),
    ],
)
def test_files_of_a_database_that_are_deleted_under_a_search_are_said_to_be(
    make_store, mlp, tmp_path, suffixes, said, left
):
    store = make_store(trials=4, epochs=1)

    def script(task):
        if task.number == 2:
            for suffix in suffixes:
                (tmp_path / f"nas.db{suffix}").unlink()
        return learns(0.5)(task)

    with pytest.raises(StorageError, match=said) as raised:
        run(store, mlp, script)
    assert "\n" not in str(raised.value)
    assert "intact" not in str(raised.value)
    store.storage.close()
    if left is not None:
        again = open_database(f"sqlite:///{tmp_path}/nas.db", create=False)
        records = StudyWriter.find(again, "study", tmp_path).trials()
        assert [record.outcome for record in records[:left]] == ["completed"] * left
