"""One driver at a time, on both databases; what happens when the holder dies, forks, or loses its server."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from nas.errors import StudyError
from nas.study.database import open_database
from nas.study.lock import AdvisoryLock, lock_holder, study_lock
from tests.grids import first_of

HOLDER = """
import os, subprocess, sys, time
from nas.study.lock import study_lock
from nas.study.database import open_database

with study_lock(open_database(sys.argv[1], create=True), "study"):
    child = 0
    if sys.argv[2] == "fork":
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(1)
            os.write(writer, b"!")
            time.sleep(100)
        os.close(writer)
        os.read(reader, 1)  # by now it has closed what it got
    elif sys.argv[2] == "exec":
        child = subprocess.Popen(["sleep", "100"], stdout=subprocess.DEVNULL).pid
    print(child, flush=True)
    time.sleep(100)
"""

Hold = Callable[[str, str], tuple[subprocess.Popen[str], int]]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts a process that holds the lock, perhaps with a child: (process, pid of the child or 0)."""
    started = []

    def start(url: str, child: str) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", HOLDER, url, child]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process.pid)
        assert process.stdout is not None
        number = int(process.stdout.readline())
        started.extend([number] if number else [])
        return process, number

    yield start
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_second_driver_is_refused_with_process_host_and_start_time_of_the_first(database_url, hold):
    storage = open_database(database_url, create=True)
    assert lock_holder(storage, "study") is None
    process, _ = hold(database_url, "alone")
    said = rf"process {process.pid} on \S+ since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    with pytest.raises(StudyError, match=f"'study' is already being searched by {said}. Wait"):
        study_lock(storage, "study").__enter__()
    with pytest.raises(StudyError, match=said):
        raise StudyError(lock_holder(storage, "study"))
    with study_lock(storage, "another"):
        pass


@pytest.mark.parametrize("child", first_of(1, ["fork", "alone", "exec"]))
def test_a_lock_frees_itself_when_its_holder_is_killed_and_no_child_inherits_it(database_url, hold, child):
    storage = open_database(database_url, create=True)
    process, number = hold(database_url, child)
    process.kill()
    process.wait()
    if number:
        os.kill(number, 0)  # it lives
    while lock_holder(storage, "study") is not None:  # the server takes a moment to notice
        time.sleep(0.05)
    with study_lock(storage, "study"):
        assert str(os.getpid()) in (lock_holder(storage, "study") or "")
    assert lock_holder(storage, "study") is None


def test_a_process_that_took_the_number_of_a_dead_driver_does_not_hold_its_study(tmp_path):
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    with study_lock(storage, "study"):
        holder = (tmp_path / "study" / "driver.txt").read_text()
    died = re.sub(r"since \d{4}", "since 2001", holder)
    (tmp_path / "study" / "driver.txt").write_text(died)
    assert lock_holder(storage, "study") is None


@pytest.mark.parametrize(
    "content", ["", "process 1", "process 1 on host since 2026-1", "process 1 on h since x\n"]
)
def test_a_holder_that_is_just_writing_or_removing_its_name_is_another_process(
    tmp_path, monkeypatch, content
):
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    with study_lock(storage, "study"):
        (tmp_path / "study" / "driver.txt").write_text(content)
        assert lock_holder(storage, "study") == (content.strip() or None)
        (tmp_path / "study" / "driver.txt").unlink()
        monkeypatch.setattr(Path, "exists", lambda path: True)  # it was there a moment ago
        with pytest.raises(StudyError, match="already being searched by another process"):
            study_lock(storage, "study").__enter__()


def test_a_database_has_one_driver_whatever_link_leads_to_it(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "nas.db")
    storage = open_database(f"sqlite:///{tmp_path}/nas.db", create=True)
    linked = open_database(f"sqlite:///{tmp_path}/elsewhere/link.db", create=False)
    with study_lock(storage, "study"):
        assert str(os.getpid()) in (lock_holder(linked, "study") or "")
        with pytest.raises(StudyError, match=f"already being searched by process {os.getpid()} on"):
            study_lock(linked, "study").__enter__()


def test_a_lock_that_was_let_go_can_be_taken_again(database_url):
    storage = open_database(database_url, create=True)
    for _ in range(2):
        with study_lock(storage, "study"):
            storage.check_lock()


def test_after_a_restart_of_the_server_the_lock_is_taken_again_before_anything_is_written(
    postgres, postgres_url
):
    storage, other = open_database(postgres_url, create=True), open_database(postgres_url, create=True)
    with study_lock(storage, "study"):
        postgres.restart()
        storage.write(text("UPDATE nas_schema SET version = version"))
        with pytest.raises(StudyError, match=f"process {os.getpid()} on"):
            study_lock(other, "study").__enter__()


def test_a_driver_whose_study_was_taken_while_the_server_restarted_stops_and_writes_nothing(
    postgres, postgres_url, hold
):
    storage = open_database(postgres_url, create=True)
    storage.write(text("UPDATE nas_schema SET version = version"))
    with study_lock(storage, "study"):
        postgres.restart()
        process, _ = hold(postgres_url, "alone")
        with pytest.raises(StudyError, match=f"already being searched by process {process.pid} on"):
            storage.write(text("DELETE FROM nas_schema"))
        with pytest.raises(StudyError, match="already being searched"):
            storage.check_lock()
    assert open_database(postgres_url, create=False).read(text("SELECT version FROM nas_schema"))


def test_a_lock_whose_connection_alone_breaks_is_taken_again(postgres, postgres_url):
    storage = open_database(postgres_url, create=True)
    ours = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    with study_lock(storage, "study"):
        ((first,),) = postgres.sql(ours)
        postgres.sql(f"SELECT pg_terminate_backend({first}, 5000)")
        storage.check_lock()
        ((second,),) = postgres.sql(ours)
        assert first != second
        assert str(os.getpid()) in lock_holder(storage, "study")


def test_a_lock_that_the_server_still_holds_for_a_lost_connection_of_ours_is_taken_over(
    postgres, postgres_url
):
    lock = AdvisoryLock(open_database(postgres_url, create=True), "study")
    lock.check()
    lost, lock._connection = lock._connection, None  # the wire is cut: the server hears nothing
    lock.check()
    with closing(lost), pytest.raises(Exception, match="terminating connection"):
        lost.execute(text("SELECT 1"))
    lock.release()
