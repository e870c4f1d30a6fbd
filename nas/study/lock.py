"""One driver at a time: a lock for each study, which frees itself when its holder dies.

With SQLite it is a file that the operating system locks; with PostgreSQL an advisory lock of a connection of
its own. No child inherits either: not over exec, and not over fork, where the child closes what it got.
"""

import hashlib
import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from sqlalchemy import Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from nas.errors import StudyError
from nas.study.database import make_folder
from nas.study.retrying_storage import RetryingStorage

WAY_OUT = "Wait for it, or use --study for another."

HOLDER_FILE = "driver.txt"

TIME = "%Y-%m-%dT%H:%M:%SZ"

CLOCK_ERROR = 60.0
"""Seconds that the system's clock may have been set back since a process began."""

ATTEMPTS = 3
"""To take a lock whose holder is on its way out."""

TAKE = text("SELECT pg_try_advisory_lock(:key)")
HOLDER = text("""
    SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND CAST(classid AS bigint) = :high AND CAST(objid AS bigint) = :low
""")
LET_GO = text("SELECT pg_advisory_unlock_all()")
END = text("SELECT pg_terminate_backend(:pid, 5000)")
CLIENT_DIES = text("""
    SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
           set_config('tcp_keepalives_count', '3', false)
""")
"""Lets the server notice within a minute that the holder's machine is gone."""


@contextmanager
def study_lock(storage: RetryingStorage, study: str) -> Iterator[None]:
    """Hold the study for the length of the block.

    Raises:
        StudyError: another driver holds it; the message names host, process and start time.
    """
    beside = _beside(storage)
    if beside is not None:
        with _file_lock(make_folder(beside / study), study):
            yield
        return
    lock = AdvisoryLock(storage, study)
    storage.patiently(lock.check)
    for engine in storage.engines:
        event.listen(engine, "connect", lock.on_connect)
    storage.check_lock = lock.check
    try:
        yield
    finally:
        storage.check_lock = lambda: None
        for engine in storage.engines:
            event.remove(engine, "connect", lock.on_connect)
        lock.release()


def lock_holder(storage: RetryingStorage, study: str) -> str | None:
    """Who searches a study now: process, host and start time; None if nobody does."""
    beside = _beside(storage)
    if beside is None:
        rows = storage.read(HOLDER.bindparams(**_halves(_key(study))))
        return _in_words(rows[0]["application_name"]) if rows else None
    holder = _read(beside / study / HOLDER_FILE)
    if holder is None:
        return None
    match = re.match(r"process (\d+) on (\S+) since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$", holder)
    died = match and match[2] == platform.node() and not _lives(int(match[1]), match[3])
    return None if died else holder


def _read(holder: Path) -> str | None:
    """What a holder's file says; None without one, which its holder may remove at any moment."""
    try:
        return holder.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _lives(pid: int, since: str) -> bool:
    """Whether a process has run since then, and not another one with its number."""
    began = datetime.strptime(since, TIME).replace(tzinfo=UTC).timestamp()
    try:
        return float(psutil.Process(pid).create_time()) < began + CLOCK_ERROR
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _file_lock(folder: Path, study: str) -> Iterator[None]:
    lock = FileLock(folder / "lock")
    holder = folder / HOLDER_FILE
    try:
        lock.acquire(blocking=False)
    except Timeout:
        who = _read(holder) or "another process"
        raise StudyError(f"Study {study!r} is already being searched by {who}. {WAY_OUT}") from None
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()} since {_now()}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


class AdvisoryLock:
    """A lock of the server's, held by a connection that does nothing else.

    A restart of the server takes it away; then every connection of the storage breaks too, and before a new
    one is used the lock is taken again.
    """

    def __init__(self, storage: RetryingStorage, study: str) -> None:
        self._study = study
        self._key = _key(study)
        ours = secrets.token_hex(4)  # tells it from those of other threads of this process
        name = f"nas {os.getpid()} {_now()} {ours} {platform.node()}"
        self._name = name[:63]  # as much as PostgreSQL keeps
        self._engine = create_engine(
            storage.engine.url,
            connect_args=storage.engine_kwargs["connect_args"] | {"application_name": self._name},
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        self._connection: Connection | None = None
        self._socket = -1

    def check(self) -> None:
        """Make sure that the lock is held, taking it again if its connection broke; one round trip.

        Raises:
            StudyError: somebody else has it now.
            sqlalchemy.exc.DBAPIError: the server does not answer.
        """
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.execute(text("SELECT 1"))
                return
        self.release()
        connection = self._engine.connect()
        try:
            self._take(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        driver_connection: Any = connection.connection.driver_connection
        self._socket = driver_connection.fileno()
        HELD.add(self._socket)

    def on_connect(self, connection: object, record: object) -> None:
        """For the storage's pool: a new connection may be the first since the server was restarted."""
        self.check()

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        HELD.discard(self._socket)
        if self._connection is not None:
            with suppress(DBAPIError):
                if not self._connection.invalidated:
                    self._connection.execute(LET_GO)  # the server hears of a closed connection a moment later
                self._connection.close()
        self._connection = None

    def _take(self, connection: Connection) -> None:
        connection.execute(CLIENT_DIES)
        who = "another process"
        for _ in range(ATTEMPTS):
            if connection.scalar(TAKE, {"key": self._key}):
                return
            holder = connection.execute(HOLDER, _halves(self._key)).first()
            if holder is None:
                continue  # it has just let go
            if holder.application_name == self._name:  # our own, over a wire that the server believes in
                connection.execute(END, {"pid": holder.pid})
                continue
            who = _in_words(holder.application_name)
            break
        raise StudyError(f"Study {self._study!r} is already being searched by {who}. {WAY_OUT}")


HELD: set[int] = set()
"""Sockets of advisory locks, which a forked child must not keep open when its parent dies."""


def _let_go() -> None:
    for descriptor in HELD:
        os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _beside(storage: RetryingStorage) -> Path | None:
    """The folder of a SQLite file, whatever link led there, where its locks lie too; None with PostgreSQL."""
    url = storage.engine.url
    if url.get_backend_name() != "sqlite":
        return None
    assert url.database
    return Path(url.database).resolve().parent


def _key(study: str) -> int:
    return int.from_bytes(hashlib.sha256(f"nas:{study}".encode()).digest()[:8], "big", signed=True)


def _halves(key: int) -> dict[str, int]:
    """As `pg_locks` shows it."""
    return {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}


def _in_words(name: str) -> str:
    """The holder, from what `AdvisoryLock` calls its connection."""
    match name.split(" ", 4):
        case ["nas", pid, start, _, host]:
            return f"process {pid} on {host} since {start}"
    return f"another process ({name})"


def _now() -> str:
    return datetime.now(UTC).strftime(TIME)
