"""The memory of a device: what all processes of a search take together."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.errors import SearchFailed
from nas.events import Notice
from nas.study.outcome import Outcome
from tests.scripted import ScriptedEngine, learns, make_driver

MIB = 2**20


class Processes(ScriptedEngine):
    """Workers whose processes have memory of their own."""

    own = 300 * MIB

    def post(self, message: Any) -> None:
        if type(message).__name__ == "Ready":
            message = type(message)(**{**vars(message), "own": self.own})
        super().post(message)


def test_a_trial_that_never_fits_ends_the_search_with_the_budget_that_would_do(make_store, mlp):
    engine = Processes(learns(0.5))
    driver = make_driver(make_store(trials=2, epochs=1), mlp, engine, budget=400 * MIB)
    said: list[Any] = []
    with pytest.raises(SearchFailed, match=r"all of cpu only 400 MiB. Go on with --device-memory 429MiB"):
        said.extend(driver.run())
    records = driver.store.trials()
    assert [record.outcome for record in records][:1] == [Outcome.INTERRUPTED]


def test_trials_that_may_not_all_fit_are_told_of_at_the_start(make_store, mlp):
    engine = Processes(learns(0.5))
    driver = make_driver(make_store(trials=2, epochs=1), mlp, engine, budget=429 * MIB)
    driver.memory.cap = 200 * MIB
    notices = [event.text for event in driver.run() if isinstance(event, Notice)]
    assert notices == [
        "A trial of 200 MiB may take 678 MiB with its process, all of cpu only 429 MiB."
        " Go on with --device-memory 678MiB or more."
    ]


def test_two_workers_take_turns_where_the_budget_has_room_for_one(make_store, mlp):
    engine = Processes(learns(0.5, 0.6), workers=2)
    driver = make_driver(make_store(trials=4, epochs=2), mlp, engine, budget=800 * MIB)
    list(driver.run())
    assert engine.most_at_once == 1
    engine = Processes(learns(0.5, 0.6), workers=2)
    driver = make_driver(make_store("other", trials=4, epochs=2), mlp, engine, budget=900 * MIB)
    list(driver.run())
    assert engine.most_at_once == 2


@pytest.mark.slow
@pytest.mark.usefixtures("real_start")  # forks share their server's pages
@pytest.mark.parametrize("budget", [600, 1200, 1500])
def test_the_processes_of_a_search_stay_under_the_budget_together(tmp_path: Path, budget: int) -> None:
    settings = ["--trials", "6", "--epochs", "2", "--workers", "2", "--folder", str(tmp_path), "-q"]
    search = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "nas",
            "search",
            "--device",
            "cpu",
            "--device-memory",
            f"{budget}MiB",
            *settings,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sums: list[int] = []

    def look() -> None:
        driver = psutil.Process(search.pid)
        while search.poll() is None:
            sizes = []
            for child in driver.children() if driver.is_running() else ():
                try:
                    sizes.append(child.memory_full_info().uss)
                except psutil.Error:  # it has ended
                    continue
            sums.append(sum(sizes))
            threading.Event().wait(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    said, _ = search.communicate(timeout=600)
    watcher.join()
    assert search.returncode == 0, said
    assert max(sums) > 100 * MIB, "workers were seen"
    assert max(sums) <= budget * MIB


@pytest.mark.slow
def test_too_small_a_budget_is_one_line_with_one_that_works(tmp_path: Path) -> None:
    def search(budget: str) -> subprocess.CompletedProcess[str]:
        flags = ["--trials", "1", "--epochs", "1", "--workers", "2", "--folder", str(tmp_path), "-q"]
        command = [
            sys.executable,
            "-m",
            "nas",
            "search",
            "--device",
            "cpu",
            "--device-memory",
            budget,
            *flags,
        ]
        return subprocess.run(command, capture_output=True, text=True)

    refused = search("400MiB")
    found = re.search(r"Give --device-memory (\w+) or more", refused.stderr)
    assert found, refused.stderr
    assert refused.returncode == 2
    done = search(found[1])
    if done.returncode:  # it was reckoned with a typical process; a worker has measured its own by now
        (more,) = re.findall(r"Go on with --device-memory (\w+) or more", done.stderr)
        done = search(more)
    assert done.returncode == 0, done.stderr
