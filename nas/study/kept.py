"""A connection that is kept for statements that are a transaction each."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError


class KeptConnection:
    """Executes one after another, from any thread.

    A connection that comes from the pool each time costs a ping, BEGIN, COMMIT and a reset over the wire.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._lock = threading.RLock()

    def execute(self, statement: Executable, row: Mapping[str, Any] | None = None) -> None:
        """Execute and commit; once more if the connection broke since it was used, so it must bear that.

        Raises:
            sqlalchemy.exc.DBAPIError: the database failed, or does not answer.
        """
        with self._lock:
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
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(DBAPIError):
                    connection.close()
