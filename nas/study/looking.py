"""A database that is only looked at: nothing in it or beside it is created, migrated or written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, event, inspect, select
from sqlalchemy.engine import URL

from nas.study import tables

UNSETTLED = ("-wal", "-journal")
"""What lies beside a SQLite file while its last transactions are not in it."""


def is_settled(file: Path) -> bool:
    """Whether a SQLite file holds all that was committed."""
    real = file.resolve()
    beside = [real.with_name(real.name + suffix) for suffix in UNSETTLED]
    return not any(each.exists() and each.stat().st_size for each in beside)


def look_options(url: URL, options: dict[str, Any]) -> dict[str, Any]:
    """What `create_engine` is given for a look, from what it is given else.

    SQLite lays two files beside one that is opened the usual way, and fails where it may not. Each connection
    decides anew whether it can do without, and none is kept, since a search may begin meanwhile.
    """
    if url.get_backend_name() != "sqlite":
        return options | {"execution_options": {"postgresql_readonly": True}}
    assert url.database
    file, timeout = Path(url.database), options["connect_args"]["timeout"]

    def connect() -> sqlite3.Connection:
        how = "mode=ro&immutable=1" if is_settled(file) else "mode=ro"
        address = f"{file.resolve().as_uri()}?{how}"
        return sqlite3.connect(address, uri=True, timeout=timeout, check_same_thread=False)

    return {"creator": connect, "poolclass": NullPool}


def show_as_ours(engine: Engine) -> None:
    """Let queries find tables of an older version as `tables.create_tables` would make them.

    Raises:
        StorageError: the database was written by a newer nas.
    """
    clause = _older_tables(engine)
    if not clause:
        return

    def put_before(
        connection: object, cursor: object, statement: str, parameters: Any, context: object, many: bool
    ) -> tuple[str, Any]:
        ours = statement.startswith("SELECT") and "nas_" in statement
        return f"{clause} {statement}" if ours else statement, parameters

    event.listen(engine, "before_cursor_execute", put_before, retval=True)


def _older_tables(engine: Engine) -> str:
    """A WITH clause that hides each table that lacks columns behind one that has them; else nothing."""
    with engine.connect() as connection:
        inspector = inspect(connection)
        if inspector.has_table(tables.schema.name):
            version = connection.scalar(select(tables.schema.c.version))
            if version is not None and not tables.is_older(version):
                return ""
        dialect = engine.dialect
        schema = dialect.identifier_preparer.quote(inspector.default_schema_name or "main")
        hidden = []
        for table in tables.metadata.sorted_tables:
            is_there = inspector.has_table(table.name)
            lacking = tables.lacking(inspector, table) if is_there else dict.fromkeys(table.c.keys())
            if not lacking:
                continue
            columns = []
            for column in table.c:
                nothing = f"CAST(NULL AS {column.type.compile(dialect)})"
                known = lacking[column.name] or nothing if column.name in lacking else column.name
                columns.append(f"{known} AS {column.name}")
            source = f"FROM {schema}.{table.name}" if is_there else "WHERE 1 = 0"
            hidden.append(f"{table.name} AS (SELECT {', '.join(columns)} {source})")
    return f"WITH {', '.join(hidden)}" if hidden else ""
