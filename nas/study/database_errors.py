"""What a failing database says, in one line; and whether waiting may mend it."""

import sqlite3
from collections.abc import Iterator

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, PendingRollbackError

DATABASE_ERRORS = (DBAPIError, PendingRollbackError, StorageInternalError)
"""What SQLAlchemy, and Optuna around it, raise when a database fails."""

SQLITE = {
    sqlite3.SQLITE_BUSY: "another program has locked it. Close that program, or wait for it",
    sqlite3.SQLITE_LOCKED: "another program has locked it. Close that program, or wait for it",
    sqlite3.SQLITE_FULL: "the disk is full. Free some room",
    sqlite3.SQLITE_READONLY: "it is read-only. Make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened. Make the file and its folder readable and writable",
    sqlite3.SQLITE_CORRUPT: "it is damaged. Restore a copy of it, or use another file with --storage",
    sqlite3.SQLITE_NOTADB: "it is damaged. Restore a copy of it, or use another file with --storage",
}
"""By SQLite's primary result code; the others speak for themselves."""

PERMANENT = {
    "password authentication failed": "Put the right one into the URL, PGPASSWORD or ~/.pgpass",
    "no password supplied": "Put it into the URL, PGPASSWORD or ~/.pgpass",
    'database "': "Create it with createdb, or correct the URL",
    'role "': "Correct the user's name in the URL",
    "pg_hba.conf": "The server's administrator has to let you in",
    "invalid connection option": "Correct what follows the question mark in the URL",
}
"""What to do, by a part of the message with which a server refuses a connection for good."""

POSTGRESQL = PERMANENT | {
    "failed to resolve host": "Correct the host's name in the URL",
    "Connection refused": "Start the server, or correct host and port in the URL",
    "No such file": "Start the server, or correct its folder in the URL",
    "timeout expired": "Start the server, or correct host and port in the URL",
    "No space left": "Free some room on the server",
}
"""What to do, by a part of any message of a server's; what is not for good may pass."""

PASSING = ("08", "57P", "53300")
"""SQLSTATEs of a lost connection, of a server that stops or starts, and of one with too many clients."""


def explain(error: BaseException) -> str:
    """The failure and the way out, as one line without a full stop."""
    cause = _driver_error(error)
    if isinstance(cause, sqlite3.Error) and (known := SQLITE.get(_sqlite_code(cause))):
        return known
    said = str(cause).strip().partition("\n")[0].removeprefix("connection failed: ").rstrip(".")
    said = said.replace("FATAL:  ", "") or type(cause).__name__
    return next((f"{said}. {hint}" for part, hint in POSTGRESQL.items() if part in said), said)


def may_pass(error: BaseException) -> bool:
    """Whether the same operation may succeed later: the server restarts, or another program holds a lock."""
    if connection_broke(error):
        return True
    cause = _driver_error(error)
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if type(cause).__module__.partition(".")[0] != "psycopg":
        return False
    state = getattr(cause, "sqlstate", None)
    if state is None:  # it never got as far as the server's SQL
        return type(cause).__name__ == "OperationalError" and not any(
            part in str(cause) for part in PERMANENT
        )
    return str(state).startswith(PASSING)


def connection_broke(error: BaseException) -> bool:
    """Whether a connection was lost that had been made."""
    return any(isinstance(each, DBAPIError) and each.connection_invalidated for each in _chain(error))


def _driver_error(error: BaseException) -> BaseException:
    """What sqlite3 or psycopg raised beneath SQLAlchemy and Optuna."""
    origins = (each.orig for each in _chain(error) if isinstance(each, DBAPIError))
    return next((origin for origin in origins if origin is not None), error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from; Optuna goes on after a lost connection, so that context counts too."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sqlite_code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where Python's own sqlite3 module raised the error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
