"""A database that goes away in the midst of work, and comes back: nothing is lost, nothing is there twice."""

import importlib.util
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import ModuleType, SimpleNamespace

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import Column, Float, Integer, MetaData, Table, event, select, text

from nas.errors import StorageError
from nas.study import database as storage_module
from nas.study import retrying_storage as patience
from nas.study.database import open_database
from nas.study.retrying_storage import REPEATABLE, RetryingStorage

ours = Table(
    "ours",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("accuracy", Float),
)


@pytest.fixture
def storage(database_url) -> RetryingStorage:
    return ready(database_url)


def ready(url: str) -> RetryingStorage:
    storage = open_database(url, create=True)
    ours.metadata.create_all(storage.engine)
    optuna.create_study(storage=storage, study_name="study", direction="maximize")
    return storage


def work(storage: RetryingStorage, trials: int) -> None:
    """What a driver does: enqueue, ask, suggest, report in our tables and in Optuna's, prune or tell."""
    study = optuna.load_study(
        storage=storage, study_name="study", sampler=optuna.samplers.RandomSampler(seed=1)
    )
    for index in range(trials):
        if index % 2:
            study.enqueue_trial({"x": 0.5}, user_attrs={"retry of": index})
        trial = study.ask()
        trial.set_constraint("memory", -0.5)
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_categorical("kind", ["a", "b"])
        for epoch in (1, 2):
            storage.put(ours, {"number": trial.number, "epoch": epoch, "accuracy": x})
            trial.report(x, step=epoch)
            trial.should_prune()
        study.tell(trial.number, x)


def contents(storage: RetryingStorage) -> tuple[list[object], list[dict[str, object]]]:
    trials = optuna.load_study(storage=storage, study_name="study").get_trials()
    told = [
        (each.number, each.state.name, each.value, each.params, each.user_attrs, each.intermediate_values)
        for each in trials
    ]
    return told, [dict(row) for row in storage.read(select(ours).order_by(ours.c.number, ours.c.epoch))]


def lose(storage: RetryingStorage, number: int, *, committed: bool) -> "count[int]":
    """Let the answer to commit `number` be lost, after it was committed or instead. Returns their counter."""
    commits = count()
    really = storage.engine.dialect.do_commit

    def do_commit(connection: sqlite3.Connection) -> None:
        lost = next(commits) == number
        if committed or not lost:
            really(connection)
        if lost:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    storage.engine.dialect.do_commit = do_commit
    return commits


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)], ids="every {}".format)
@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_an_operation_whose_answer_is_lost_is_repeated_and_done_once(tmp_path, monkeypatch, committed, every):
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.0)
    monkeypatch.setattr("optuna.storages._rdb.storage.random", SimpleNamespace(random=lambda: 0.0))
    monkeypatch.setattr(storage_module, "WalConnection", sqlite3.Connection)
    empty = tmp_path / "empty.db"
    ready(f"sqlite:///{empty}").close()

    def outcome(number: int) -> tuple[object, int]:
        storage = open_database(f"sqlite:///{shutil.copy(empty, tmp_path / f'{number}.db')}", create=False)
        event.listen(storage.engine, "connect", lambda new, _: new.execute("PRAGMA synchronous=OFF"))
        storage.close()
        storage.wait_out(lambda line: None)
        commits = lose(storage, number, committed=committed)
        work(storage, 2)
        return contents(storage), next(commits)

    expected, total = outcome(-1)
    assert total > 30
    for number in range(0, total, every):
        assert outcome(number)[0] == expected, f"commit {number} of {total}"


def test_rows_may_be_put_from_several_threads(storage):
    def put(number: int) -> None:
        for epoch in range(50):
            storage.put(ours, {"number": number, "epoch": epoch})

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(put, number) for number in range(4)]:
            done.result()
    assert len(storage.read(select(ours))) == 200


def test_a_row_whose_commit_failed_leaves_no_lock_behind(tmp_path):
    storage = ready(f"sqlite:///{tmp_path}/nas.db")
    lose(storage, 0, committed=False)
    with pytest.raises(StorageError, match="another program has locked it"):
        storage.put(ours, {"number": 1, "epoch": 1})
    with sqlite3.connect(tmp_path / "nas.db", timeout=0) as other:
        other.execute("INSERT INTO ours VALUES (2, 1, 0.5)")


def test_restarts_of_the_server_in_the_midst_of_a_search_are_waited_out_with_a_message(
    postgres, postgres_url
):
    storage = ready(postgres_url)
    said: list[str] = []
    storage.wait_out(said.append)
    done = threading.Event()

    def restart_again_and_again() -> None:
        try:
            for number, mode in enumerate(("fast", "immediate") * 15):
                if number >= 3 and said:  # Optuna waits by itself too, in some of its operations
                    break
                time.sleep(0.3)
                postgres.stop(mode)
                time.sleep(0.3)
                postgres.start()
        finally:
            done.set()

    restarts = threading.Thread(target=restart_again_and_again)
    restarts.start()
    worked = 0
    while not done.is_set() or worked < 10:
        work(storage, 5)
        worked += 5
    restarts.join()
    told, rows = contents(storage)
    assert [(number, state) for number, state, *_ in told] == [(n, "COMPLETE") for n in range(worked)]
    assert all(value == params["x"] and len(curve) == 2 for _, _, value, params, _, curve in told)
    assert [(row["number"], row["epoch"]) for row in rows] == [(n, e) for n in range(worked) for e in (1, 2)]
    assert any("does not answer" in line for line in said)
    assert "answers again after" in said[-1]
    assert all("\n" not in line for line in said)


def test_a_locked_sqlite_file_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "SQLITE_TIMEOUT", 0.05)
    storage = ready(f"sqlite:///{tmp_path}/nas.db")
    other = sqlite3.connect(tmp_path / "nas.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    said: list[str] = []

    def on_wait(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            other.execute("COMMIT")

    storage.wait_out(on_wait)
    work(storage, 1)
    assert "another program has locked it" in said[0]
    assert len(said) == 2


def test_without_being_told_to_wait_it_fails_at_once(postgres, postgres_url):
    storage = ready(postgres_url)
    postgres.stop()
    try:
        with pytest.raises(StorageError, match=r"Connection refused.*What was stored is intact"):
            work(storage, 1)
    finally:
        postgres.start()


def test_a_server_that_stays_away_ends_the_waiting_for_good(postgres, postgres_url):
    storage = ready(postgres_url)
    said: list[str] = []
    storage.wait_out(said.append, limit=0.5)
    postgres.stop()
    try:
        for _ in range(2):  # the second does not wait again
            with pytest.raises(StorageError, match="Connection refused"):
                work(storage, 1)
    finally:
        postgres.start()
    assert len(said) == 1


def test_somebody_who_stops_the_search_does_not_wait_for_the_server(postgres, postgres_url):
    storage = ready(postgres_url)
    storage.wait_out(lambda line: storage.stop_waiting(), limit=10_000)
    postgres.stop()
    try:
        with pytest.raises(StorageError, match="Connection refused"):
            work(storage, 1)
    finally:
        postgres.start()


@pytest.mark.parametrize("statement", ["SELECT nonsense", "INSERT INTO ours VALUES (1, NULL, 0.5)"])
def test_an_error_that_waiting_cannot_mend_is_told_at_once(storage, statement):
    said: list[str] = []
    storage.wait_out(said.append)
    with pytest.raises(StorageError) as error:
        storage.write(text(statement))
    assert "\n" not in str(error.value)
    assert said == []


def test_putting_a_row_again_replaces_what_it_names_and_keeps_the_rest(storage):
    for accuracy in (0.1, 0.2):
        storage.put(ours, {"number": 1, "epoch": 1, "accuracy": accuracy})
    storage.put(ours, {"number": 1, "epoch": 1})
    assert [dict(row) for row in storage.read(select(ours))] == [{"number": 1, "epoch": 1, "accuracy": 0.2}]


def test_what_is_put_after_a_restart_of_the_server_goes_over_a_new_connection(postgres, postgres_url):
    storage = ready(postgres_url)
    for epoch in (1, 2, 3):
        storage.put(ours, {"number": 1, "epoch": epoch})
        postgres.restart()
    assert [row["epoch"] for row in storage.read(select(ours))] == [1, 2, 3]


def test_optunas_own_log_is_silent_about_a_lost_connection(postgres, postgres_url, capfd):
    storage = ready(postgres_url)
    storage.wait_out(lambda line: None)
    work(storage, 1)
    postgres.restart()
    work(storage, 1)
    assert capfd.readouterr() == ("", "")


# another Optuna ------------------------------------------------------------------------------------------


def imported_again() -> ModuleType:
    """The module as it is with the Optuna of this moment."""
    spec = importlib.util.spec_from_file_location("patience_again", patience.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPTUNAS = [name for name in REPEATABLE if name in vars(RDBStorage)]  # the others are inherited


@pytest.mark.parametrize("name", [*OPTUNAS, "_create_new_trial", "_get_prepared_new_trial"])
def test_it_can_be_imported_with_an_optuna_that_lacks_an_operation(monkeypatch, name):
    monkeypatch.delattr(RDBStorage, name)
    imported_again()


def test_trials_are_created_under_the_lock_with_an_optuna_that_does_it_by_its_public_name_alone(
    tmp_path, monkeypatch
):
    create = RDBStorage._create_new_trial
    monkeypatch.delattr(RDBStorage, "_create_new_trial")
    monkeypatch.setattr(RDBStorage, "create_new_trial", lambda *given: create(*given)._trial_id)
    storage = imported_again().RetryingStorage(f"sqlite:///{tmp_path}/nas.db", "nas.db", {})
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "study")
    checks = []
    storage.check_lock = lambda: checks.append(len(storage.get_all_trials(study)))
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.0)
    lose(storage, 0, committed=True)
    storage.wait_out(lambda line: None)
    assert storage.get_trial(storage.create_new_trial(study)).number == 0
    assert checks[0] == 0
    assert storage.get_n_trials(study) == 1, "though the answer to its commit was lost"
