"""A search that is killed again and again, driver and workers, at random moments; then what became of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import NullPool, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from nas.study import tables

EPOCHS = 15
SETTINGS: dict[str, Any] = {
    "space": "mlp",
    "study": "chaos",
    "epochs": EPOCHS,
    "workers": 2,
    "threads": 1,
    "device": "cpu",
    "sampler": "random",
    "pruner": "median",
}

WAYS = ("worker", "worker", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGTERM, then SIGKILL")
"""Who is killed and how: one of the workers, or the driver."""

KILLED = (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)
"""Exit codes of a driver that was; negative while it starts, or when nothing else can be."""

STARTING = 1 / 5
"""So many kills hit a driver that is just starting, the others a search that trains."""

PATIENCE = 300.0
"""Seconds for something to happen, on the busiest machine."""


@dataclass
class Toll:
    """What was done to a study."""

    asked: int
    """Trials."""
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    workers: list[psutil.Process] = field(default_factory=list)


def kill_again_and_again(storage: str, folder: Path, kills: int, seed: int, trials: int) -> Toll:
    """Search with `nas search`, kill it so many times, and let it end undisturbed.

    Args:
        trials: asked for; more, if the search ends before it was killed often enough.
    """
    chance, toll, epochs = random.Random(seed), Toll(trials), Epochs(storage)
    while True:
        toll.runs += 1
        driver = _search(storage, folder, toll.asked)
        try:
            if toll.kills.total() < kills and chance.random() < STARTING:
                time.sleep(chance.uniform(0, 8))
                _kill(driver, chance, toll)
            while toll.kills.total() < kills and _until_a_moment(driver, epochs, chance):
                _kill(driver, chance, toll)
            code = driver.wait(PATIENCE * 10 if toll.kills.total() == kills else PATIENCE)
        finally:
            driver.kill()
        said = (folder / "said").read_text()
        if code == 0:
            if toll.kills.total() == kills:
                return toll
            toll.asked += trials
        elif code not in KILLED:
            assert code == 2, said
            assert "failures in a row" in said, "five of its workers were killed before a trial ended"


def _search(storage: str, folder: Path, trials: int) -> subprocess.Popen[bytes]:
    settings = SETTINGS | {"storage": storage, "folder": folder, "trials": trials}
    command = [sys.executable, "-m", "nas", "search", "-q"]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in settings.items())],
            stdout=subprocess.DEVNULL,
            stderr=said,
        )


def _until_a_moment(driver: subprocess.Popen[bytes], epochs: Epochs, chance: random.Random) -> bool:
    """Wait until a few more epochs are trained; False if the driver has ended before."""
    wanted, until = epochs.trained() + chance.randint(1, 2 * EPOCHS), time.monotonic() + PATIENCE
    while epochs.trained() < wanted and driver.poll() is None:
        assert time.monotonic() < until, "the search makes no progress"
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.1))
    return driver.poll() is None


class Epochs:
    """The search's progress, read from its database."""

    def __init__(self, storage: str) -> None:
        self._engine = create_engine(
            storage.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool
        )

    def trained(self) -> int:
        """So far, over all trials."""
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and not Path(str(file)).exists():
            return 0  # and to connect would make one
        try:
            with self._engine.connect() as connection:
                return connection.scalar(select(func.count()).select_from(tables.epochs)) or 0
        except DBAPIError:  # there are no tables yet
            return 0


def _kill(driver: subprocess.Popen[bytes], chance: random.Random, toll: Toll) -> None:
    try:
        workers = psutil.Process(driver.pid).children()
    except psutil.NoSuchProcess:
        return
    toll.workers = list({*toll.workers, *workers})
    way = chance.choice(WAYS)
    if way == "worker":
        if not workers:
            return
        chance.choice(sorted(workers, key=lambda worker: worker.pid)).kill()
    else:
        for name in way.split(", then "):
            os.kill(driver.pid, signal.Signals[name])
            time.sleep(chance.uniform(0, 0.5) if "then" in way else 0)
        driver.wait(PATIENCE)
    toll.kills[way] += 1
