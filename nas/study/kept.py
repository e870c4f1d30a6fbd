"""A connection that is kept for statements that are a transaction each."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError


class KeptConnection:
    """For one thread. One of the pool is pinged, begun, committed and reset over the wire, each time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def execute(self, statement: Executable, row: Mapping[str, Any] | None = None) -> None:
        """Execute and commit; once more if the connection broke since it was used, so it must bear that.

        Raises:
            sqlalchemy.exc.DBAPIError: the database failed, or does not answer.
        """
        if self._connection is not None:
            try:
                self._execute(self._connection, statement, row)
                return
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
        self._connection = self._engine.connect()
        self._execute(self._connection, statement, row)

    def _execute(self, connection: Connection, statement: Executable, row: Mapping[str, Any] | None) -> None:
        try:
            with connection.begin():
                connection.execute(statement, row)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give it back to the pool; the next statement takes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()
