"""A PostgreSQL server of the tests' own, in a temporary folder; `tests/conftest.py` takes its fixtures in.

Its absence is a skip with a reason, and a failure where CI is true.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

OPTIONS = "-c fsync=off -c full_page_writes=off -c listen_addresses=127.0.0.1"
"""Quick; what was committed outlives the server when it is killed, though not a power cut."""

PASSWORDS = "host all locked 127.0.0.1/32 scram-sha-256\n"
"""Everybody else is trusted."""


@dataclass
class PostgresServer:
    """A server that a test may restart; data survives."""

    binaries: Path
    folder: Path
    port: int
    user: dict[str, Any]
    """Whom to run it as: PostgreSQL refuses root."""

    def url(self, database: str = "postgres", user: str = "tester") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """Through the Unix socket."""
        return f"postgresql://tester@/{database}?host={self.folder}&port={self.port}"

    def create(self) -> None:
        self._run("initdb", "-U", "tester", "--no-sync", "--auth=trust", "-E", "UTF8", "--locale=C")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text(PASSWORDS + rules.read_text())

    def start(self) -> None:
        options = f"{OPTIONS} -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends every session in good order; `immediate` is like a crash."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"nas_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.binaries / program, "-D", self.folder / "data", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "said").open("wb"),  # a pipe would stay open for as long as the server runs
            stderr=subprocess.STDOUT,
            **self.user,
        )
        assert done.returncode == 0, (self.folder / "said").read_text()


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server for the length of the block.

    Raises:
        FileNotFoundError: none is installed.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="nas-pg-"))  # short: a socket's path has at most 107 bytes
    user = _unprivileged() if os.geteuid() == 0 else {}
    if user:
        os.chown(folder, user["user"], user["group"])
    server = PostgresServer(binaries, folder, _free_port(), user)
    try:
        server.create()
        server.start()
        server.sql("CREATE ROLE locked LOGIN PASSWORD 'right'")
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server; a test that stops it starts it again."""
    try:
        _binaries()
    except FileNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of one kind after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nas.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def _binaries() -> Path:
    """Debian keeps the server's programs out of PATH, one folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("pg_ctl")
    places = [*reversed(folders), *([Path(found).parent] if found else [])]
    for folder in places:
        if (folder / "initdb").exists():
            return folder
    raise FileNotFoundError("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")


def _unprivileged() -> dict[str, Any]:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
