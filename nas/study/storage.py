"""From a database URL to Optuna's storage, with one clear line for whatever can go wrong on the way."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from nas.errors import StorageError
from nas.study.tables import create_tables

INTACT = "Nothing was changed."


class WalConnection(sqlite3.Connection):
    """Readers never block the driver, and what was committed survives a power cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=FULL")


def storage_url(storage: str | None, folder: Path) -> str:
    """The study's database: `storage` if given, else nas.db in the study folder."""
    return storage or f"sqlite:///{(folder / 'nas.db').as_posix()}"


def lock_folder(url: str, study: str, folder: Path) -> Path:
    """Where the lock of a study lies: beside a SQLite file, whatever `folder` its results go to."""
    parsed = _parse(url)
    beside = (
        Path(parsed.database).parent if parsed.get_backend_name() == "sqlite" and parsed.database else folder
    )
    return beside / study


def redacted(url: str) -> str:
    """`url` without its password, fit for people."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url.split("@")[-1]


def open_storage(url: str, *, create: bool) -> RDBStorage:
    """Optuna's storage at `url`, with our tables beside its own.

    Args:
        create: make a SQLite file, and the folder it lies in, when there is none.

    Raises:
        StorageError: the URL, the database or its folder cannot be used.
    """
    parsed = _parse(url)
    shown = redacted(url)
    options: dict[str, Any] = {}
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(parsed, create)
        options = {"connect_args": {"timeout": 60, "factory": WalConnection}}
    elif parsed.get_backend_name() == "postgresql":
        options = {"pool_size": 2, "max_overflow": 2, "pool_pre_ping": True, "pool_recycle": 1800}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = RDBStorage(url, engine_kwargs=options)
        create_tables(storage.engine)
    except (ModuleNotFoundError, ImportError) as error:
        raise StorageError(f"{shown} needs a database driver: {_install_hint(parsed)}.") from error
    except (DatabaseError, StorageInternalError) as error:
        raise StorageError(f"{shown} cannot be opened: {_cause(error)}. {INTACT}") from error
    except RuntimeError as error:  # Optuna's word for tables of another version
        raise StorageError(f"{shown} has tables of another Optuna: {error}. {INTACT}") from error
    return storage


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn what a database says in the midst of work into one clear line.

    Raises:
        StorageError: the database failed; what it had taken before is intact.
    """
    try:
        yield
    except (DatabaseError, StorageInternalError) as error:
        raise StorageError(
            f"{redacted(url)} failed: {_cause(error)}. What was stored is intact; the same command goes on."
        ) from error


def _parse(url: str) -> URL:
    example = "Write sqlite:///studies/nas.db or postgresql://user@host/database."
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except ArgumentError as error:  # also what nobody knows how to speak to
        raise StorageError(f"{redacted(url)!r} is no database URL. {example}") from error
    except ImportError as error:
        raise StorageError(f"{redacted(url)} needs a database driver: {_install_hint(parsed)}.") from error
    return parsed


def _prepare_sqlite(url: URL, create: bool) -> None:
    if not url.database or url.database == ":memory:":
        raise StorageError(
            "A study must outlive its search: give SQLite a file, as in sqlite:///studies/nas.db."
        )
    file = Path(url.database)
    if file.is_dir():
        raise StorageError(f"{file} is a folder, not a SQLite database.")
    if file.exists():
        try:
            with file.open("rb") as stream:
                head = stream.read(16)
        except OSError as error:
            raise StorageError(f"{file} cannot be read: {error.strerror}.") from error
        if head and head != b"SQLite format 3\0":
            raise StorageError(f"{file} is no SQLite database. {INTACT}")
    elif not create:
        raise StorageError(f"There is no study yet: {file} does not exist. Start one with: nas search")
    else:
        make_folder(file.parent)


def make_folder(folder: Path) -> Path:
    """Create `folder` with its parents.

    Raises:
        StorageError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".nas-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"The folder {folder} cannot be written: {error.strerror}. Choose another with --folder."
        ) from error
    return folder


def _install_hint(url: URL) -> str:
    if url.get_backend_name() == "postgresql":
        return "pip install 'optuna-nas[postgres]'"
    return f"install the one that SQLAlchemy asks for with {url.drivername}"


def _cause(error: BaseException) -> str:
    """The database's own first line, without SQLAlchemy's decoration."""
    inner = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    origin = inner.orig if isinstance(inner, OperationalError | DatabaseError) and inner.orig else inner
    return str(origin).strip().splitlines()[0].rstrip(".")
