"""Optuna's storage that waits for its database: what lost its connection is repeated, and is done once.

Optuna's own operations are one transaction each. When the connection breaks in the midst of one, nobody knows
whether it was committed, so each must do no harm when it is repeated: most write one value under its key, the
two others look first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, Executable, RowMapping, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from nas.errors import StorageError
from nas.machine.files import INTACT
from nas.machine.texts import storable
from nas.study.database_errors import DATABASE_ERRORS, connection_broke, explain, may_pass
from nas.study.deleted import DatabaseFiles

if TYPE_CHECKING:
    from optuna.storages._rdb import models

Result = TypeVar("Result")

LONGEST_WAIT = 600.0
"""Seconds without an answer after which a search gives up."""

LONGEST_PAUSE = 15.0
"""Seconds between two attempts, at most; the first pauses are short."""

REPEATABLE = (
    *(name for name in vars(BaseStorage) if name.startswith(("get_", "set_"))),
    *("_set_trial_param", "_get_trials", "_get_best_trial_id"),
)
"""Optuna's operations that read, or write one value under its key; `RetryingStorage` has its own way with one
of them. What begins with an underscore is Optuna's own affair: another version may lack it, and does the same
by the public name."""


class RetryingStorage(RDBStorage):
    """A database that studies lie in. It fails at once until `wait_out` is called."""

    def __init__(
        self, url: str, shown: str, engine_kwargs: dict[str, Any], *, read_only: bool = False
    ) -> None:
        self.shown = shown
        """The URL as people may see it."""
        self.check_lock: Callable[[], None] = lambda: None
        """Raises StudyError when another driver has the study; called before a trial begins or ends."""
        self._on_wait: Callable[[str], None] | None = None
        self._limit = LONGEST_WAIT
        self._new_trial: tuple[type, int] | None = None
        """Optuna's model of the trial that was created last, and its key."""
        self._puts: dict[tuple[Any, ...], Executable] = {}
        logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)  # we say it ourselves
        template = url.replace("{", "{{").replace("}", "}}")  # Optuna would fill in what stands in braces
        super().__init__(template, engine_kwargs=engine_kwargs, skip_table_creation=read_only)
        self._autocommit: Engine = self.engine
        """Engine for a statement that is a transaction of its own."""
        if self.engine.dialect.name == "postgresql" and not read_only:
            # one round trip, where a transaction takes three and a ping one more; `patiently` does without
            options = engine_kwargs | {"isolation_level": "AUTOCOMMIT", "pool_pre_ping": False}
            self._autocommit = create_engine(self.engine.url, **options)
        self._files = DatabaseFiles(self.engine)
        self.engines = {self.engine, self._autocommit}
        """Engines whose connections read and write."""
        for engine in self.engines:
            event.listen(engine, "before_cursor_execute", _with_storable_texts, retval=True)

    def close(self) -> None:
        """Close all connections; whatever comes next opens new ones."""
        for engine in self.engines:
            engine.dispose()
        self._files.forget()

    # Waiting ------------------------------------------------------------------------------------------

    def wait_out(self, on_wait: Callable[[str], None], limit: float = LONGEST_WAIT) -> None:
        """From now on, wait up to `limit` seconds while the database does not answer.

        Args:
            on_wait: called with one line for people when a wait begins and when it ends.
        """
        self._on_wait, self._limit = on_wait, limit

    def stop_waiting(self) -> None:
        """Fail at once from now on, also in the midst of a wait; safe to call in a signal handler."""
        self._on_wait = None

    def patiently(self, operation: Callable[[], Result]) -> Result:
        """What `operation` returns; it is repeated when the database was away, so it must bear that.

        After a connection broke, once at once: it may have done so long ago, and a new one finds the server.

        Raises:
            StorageError: the database failed, or was away for too long; or its files were deleted.
        """
        if loss := self._files.loss():
            raise StorageError(loss)
        began, pause, broke = 0.0, 0.1, False
        while True:
            try:
                result = operation()
            except DATABASE_ERRORS as error:
                if not may_pass(error):
                    raise StorageError(self._failed(error)) from error
                if connection_broke(error) and not broke:
                    broke = True
                    continue
                if not began:
                    began = time.monotonic()
                    self._say(f"{self.shown} does not answer: {explain(error)}. Waiting for it.")
                pause = min(2 * pause, LONGEST_PAUSE)
                if not self._sleep(pause, began + self._limit):
                    self.stop_waiting()
                    raise StorageError(self._failed(error)) from error
            else:
                if began:
                    self._say(f"{self.shown} answers again after {time.monotonic() - began:.0f} s.")
                return result

    def _say(self, text: str) -> None:
        if self._on_wait is not None:
            self._on_wait(text)

    def _sleep(self, seconds: float, deadline: float) -> bool:
        """Whether to try again after the pause; short naps, because a signal may end the waiting."""
        until = time.monotonic() + seconds
        while self._on_wait is not None and time.monotonic() < min(until, deadline):
            time.sleep(0.05)
        return self._on_wait is not None and time.monotonic() < deadline

    def _failed(self, error: BaseException) -> str:
        return f"{self.shown} failed: {explain(error)}. {INTACT}"

    # Our tables ---------------------------------------------------------------------------------------

    def write(self, *statements: Executable) -> None:
        """Execute statements in one transaction; they must bear to be repeated.

        Raises:
            StorageError: the database failed.
        """
        self._commit(*((statement, None) for statement in statements))

    def read(self, query: Executable) -> Sequence[RowMapping]:
        """All rows of a query, by the names of their columns.

        Raises:
            StorageError: the database failed.
        """

        def transaction() -> Sequence[RowMapping]:
            with self.engine.connect() as connection:
                return connection.execute(query).mappings().all()

        return self.patiently(transaction)

    def put(self, table: Table, row: dict[str, Any], *others: Executable) -> None:
        """Insert `row`, or set its columns where its primary key is there already.

        Args:
            others: statements of the same transaction, which must bear to be repeated.

        Raises:
            StorageError: the database failed.
        """
        kind = (table, *row)
        if kind not in self._puts:  # building a statement takes ten times as long as executing it
            self._puts[kind] = self._put_statement(table, list(row))
        self._commit((self._puts[kind], row), *((other, None) for other in others))

    def _commit(self, *statements: tuple[Executable, Mapping[str, Any] | None]) -> None:
        engine = self._autocommit if len(statements) == 1 else self.engine

        def transaction() -> None:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(*statement)

        self.patiently(transaction)
        self._files.watch()

    def _put_statement(self, table: Table, names: list[str]) -> Executable:
        dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        insert: Any = dialect.insert(table)
        key = [column.name for column in table.primary_key]
        values = {name: insert.excluded[name] for name in names}
        statement: Executable = insert.on_conflict_do_update(index_elements=key, set_=values)
        return statement

    # Optuna's operations ------------------------------------------------------------------------------

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        repeated = False

        def once() -> bool:
            nonlocal repeated
            if repeated and RDBStorage.get_trial(self, trial_id).state is state:
                return True  # an attempt was committed, though its answer was lost
            repeated = True
            self.check_lock()
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)

        return self.patiently(once)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """What `_create_new_trial` is for, where Optuna lacks that."""
        self._new_trial = None

        def once() -> int:
            self.check_lock()
            return RDBStorage.create_new_trial(self, study_id, template_trial)

        return self.patiently(once)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        self._new_trial = None

        def once() -> FrozenTrial:
            self.check_lock()
            return RDBStorage._create_new_trial(self, study_id, template_trial)

        return self.patiently(once)

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        """Called in the transaction of each attempt, of which Optuna makes up to five by itself."""
        if self._new_trial is not None:
            committed: Any = session.get(*self._new_trial)
            if committed is not None and committed.study_id == study_id:
                return committed  # type: ignore[no-any-return]
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        key: Any = trial.trial_id
        self._new_trial = type(trial), key
        return trial


def _with_storable_texts(
    connection: object, cursor: object, statement: str, parameters: Any, context: object, many: bool
) -> tuple[str, Any]:
    """The one door for texts, Optuna's and ours: no database takes all that a failure may say."""
    return statement, _storable(parameters)


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case dict():
            return {name: _storable(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(_storable(each) for each in value)
    return value


def _repeatable(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def patient(self: RetryingStorage, *arguments: Any, **named: Any) -> Any:
        return self.patiently(lambda: method(self, *arguments, **named))

    return patient


for name in REPEATABLE:
    if hasattr(RDBStorage, name) and name not in vars(RetryingStorage):
        setattr(RetryingStorage, name, _repeatable(getattr(RDBStorage, name)))
