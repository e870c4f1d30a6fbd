"""From a database URL to Optuna's storage, with one clear line for whatever can go wrong on the way."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nas.errors import StorageError
from nas.machine.file_systems import network_file_system
from nas.machine.files import INTACT, disk_errors, expanded_text
from nas.study.database_errors import DATABASE_ERRORS, explain
from nas.study.looking import is_settled, look_options, show_as_ours
from nas.study.retrying_storage import RetryingStorage
from nas.study.tables import create_tables

UNCHANGED = "Nothing was changed."
EXAMPLE = "Write sqlite:///studies/nas.db or postgresql://user@host/database."

SQLITE_TIMEOUT = 15.0
"""Seconds that SQLite itself waits for another program's lock."""

POSTGRESQL_POOL = {"pool_size": 2, "max_overflow": 2, "pool_pre_ping": True, "pool_recycle": 1800}

POSTGRESQL_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds: an answer that is lost on the way is not waited for for ever
}
"""Options of libpq where the URL does not set them."""

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
"""What the two databases are spoken to with."""

COLLISIONS = 20
"""Attempts at creating tables while others create them too; each meets those that are there by then."""

NO_TABLES = re.compile(r'no such table|relation "')
"""What a database says that holds no study."""

SECRET = ("password", "sslpassword")
"""Options of a URL that nobody may read."""


class WalConnection(sqlite3.Connection):
    """Readers never block the driver, and what was committed survives a power cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=FULL")


def storage_url(storage: str | None, folder: Path) -> str:
    """The study's database: `storage` if given, else nas.db in the study folder."""
    file = URL.create("sqlite", database=(folder / "nas.db").as_posix())
    return expanded_text(storage) if storage else file.render_as_string(hide_password=False)


def redacted(url: str) -> str:
    """`url` without its passwords, fit for people."""
    parsed = _read(url)
    if parsed is None:  # what stands where is anybody's guess
        return re.sub(r":(?!//)(?s:.*)@", ":***@", re.sub(r"(password=)[^&]*", r"\1***", url))
    hidden = {name: "***" for name in SECRET if name in parsed.query}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


def open_database(url: str, *, create: bool = False, read_only: bool = False) -> RetryingStorage:
    """Optuna's storage at `url`, with our tables beside its own.

    Args:
        create: make a SQLite file, and the folder it lies in, when there is none.
        read_only: write nothing at all, so that a study can be looked at that nobody here may change.

    Raises:
        StorageError: the URL, the database or its folder cannot be used.
    """
    shown = redacted(url)
    url = _our_spelling(url)
    parsed = _parse(url)
    options: dict[str, Any]
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(parsed, create, read_only)
        options = {"connect_args": {"timeout": SQLITE_TIMEOUT, "factory": WalConnection}}
    else:
        unset = {name: value for name, value in POSTGRESQL_CONNECTION.items() if name not in parsed.query}
        options = {"connect_args": unset, **POSTGRESQL_POOL}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if not read_only:
            return _connect(url, shown, options)
        storage = RetryingStorage(url, shown, look_options(parsed, options), read_only=True)
        show_as_ours(storage.engine)
        return storage
    except ImportError as error:
        raise StorageError(f"{shown} needs a database driver: pip install 'optuna-nas[postgres]'.") from error
    except UnicodeError as error:
        raise StorageError(f"{shown} cannot be opened: no host has such a name. {UNCHANGED}") from error
    except DATABASE_ERRORS as error:
        if read_only and NO_TABLES.search(explain(error)):
            raise StorageError(f"There is no study yet in {shown}. Start one with: nas search") from error
        raise StorageError(f"{shown} cannot be opened: {explain(error)}. {UNCHANGED}") from error
    except RuntimeError as error:  # Optuna's word for tables of another version
        raise StorageError(f"{shown} has tables of another Optuna: {error} {UNCHANGED}") from error


@contextmanager
def storage_errors(url: str, folder: Path) -> Iterator[None]:
    """Turn what a database or the study's folder says in the midst of work into one clear line.

    Raises:
        StorageError: it failed; what it had taken before is intact.
    """
    try:
        with disk_errors(folder):
            yield
    except DATABASE_ERRORS as error:
        raise StorageError(f"{redacted(url)} failed: {explain(error)}. {INTACT}") from error


def make_folder(folder: Path) -> Path:
    """Create `folder` with its parents.

    Raises:
        StorageError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".nas-writable"
        probe.touch()
        probe.unlink(missing_ok=True)  # others may try it at the same time
    except OSError as error:
        raise StorageError(
            f"The folder {folder} cannot be written: {error.strerror}. Choose another with --folder."
        ) from error
    return folder


def _read(url: str) -> URL | None:
    try:
        parsed = make_url(url)
        parsed.render_as_string()
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number, half of a surrogate pair
        return None
    rest = parsed.database if parsed.get_backend_name() != "sqlite" else None
    return None if "@" in f"{parsed.host}{rest}" else parsed  # of a password that nobody encoded


def _parse(url: str) -> URL:
    parsed = _read(url)
    if parsed is None:
        hint = " In a password, write @ : / # as %40 %3A %2F %23." if "@" in url else ""
        raise StorageError(f"{redacted(url)!r} is no database URL. {EXAMPLE}{hint}")
    if parsed.drivername not in (*DRIVERS, *DRIVERS.values()):
        raise StorageError(
            f"{redacted(url)!r} is no database URL that nas can use: it needs SQLite or PostgreSQL. {EXAMPLE}"
        )
    return parsed


def _our_spelling(url: str) -> str:
    """`url` with our driver, whichever of PostgreSQL's it names: hosts hand out postgres://, Optuna's pages
    write postgresql+psycopg2://."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", f"{DRIVERS['postgresql']}://", url)


def _prepare_sqlite(url: URL, create: bool, read_only: bool) -> None:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise StorageError(f"A study must outlive its search: give SQLite a file. {EXAMPLE}")
    if url.query or url.host:
        raise StorageError(f"A SQLite URL is three slashes and a file, nothing else. {EXAMPLE}")
    file = Path(url.database)
    try:
        head = _head(file)
        kind = network_file_system(file)
    except (OSError, ValueError) as error:  # ValueError: a null byte in its name
        raise StorageError(f"{file} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if head and head != b"SQLite format 3\0":
        raise StorageError(f"{file} is no SQLite database. {UNCHANGED}")
    if kind is not None and not (read_only and is_settled(file)):
        raise StorageError(
            f"{file} lies on a network file system ({kind}), where SQLite loses data. Use a local folder with"
            " --folder, or PostgreSQL with --storage postgresql://user@host/database."
        )
    if head is None and not create:
        raise StorageError(f"There is no study yet: {file} does not exist. Start one with: nas search")
    if head is None:
        make_folder(file.parent)


def _head(file: Path) -> bytes | None:
    """The first bytes of a file, or None where there is none."""
    if file.is_dir():
        raise StorageError(f"{file} is a folder, not a SQLite database.")
    if not file.exists():
        return None
    with file.open("rb") as stream:
        return stream.read(16)


def _connect(url: str, shown: str, options: dict[str, Any]) -> RetryingStorage:
    """Open the database and create what tables it lacks, while others may be doing the same."""
    for attempts_left in reversed(range(COLLISIONS)):
        try:
            storage = RetryingStorage(url, shown, options)
            create_tables(storage.engine)
            break
        except DATABASE_ERRORS as error:
            collided = re.search("already exists|duplicate (key|column)|UNIQUE constraint", str(error))
            if not (collided and attempts_left):
                raise
    return storage
