"""Trials of all sizes on one device, in real processes."""

import json
import random
import sys
from itertools import accumulate
from pathlib import Path

import pytest

from nas.driver.driver import Driver
from nas.driver.memory_budget import OVERTAKEN, MemoryBudget
from nas.engines.local import LocalEngine
from nas.engines.messages import Setup
from nas.events import TrialStarted
from nas.study.outcome import Outcome
from tests.conftest import DIGITS
from tests.scripted import CAP, ScriptedPlanner

PRETENDER = (sys.executable, str(Path(__file__).with_name("pretender.py")))
SETUP = Setup(space="mlp", training={}, data="", device="cpu", threads=1, precision="fp32")


@pytest.mark.parametrize(
    "sizes", ["few large ones among small ones", pytest.param("any", marks=pytest.mark.slow)]
)
def test_running_trials_never_exceed_the_budget_and_none_starves(make_store, mlp, tmp_path, sizes):
    trials, workers, budget = (100 if sizes == "any" else 50), 4, 2 * CAP
    store = make_store(trials=trials, epochs=1)
    (store.folder / "weights").mkdir()

    def need(number: int, proposal: object) -> int:
        chance = random.Random(number)
        return chance.randint(1, CAP) if sizes == "any" or chance.random() < 0.1 else chance.randint(1, 20)

    engine = LocalEngine(SETUP, ["cpu"] * workers, tmp_path, PRETENDER)
    memory = MemoryBudget(CAP, ["cpu"] * workers, {"cpu": budget}, {})
    driver = Driver(store, mlp, DIGITS, engine, ScriptedPlanner(engine, need), memory)
    keep, store.keep_best_weights = store.keep_best_weights, lambda running: None  # they hold the times
    try:
        started = [event.number for event in driver.run() if isinstance(event, TrialStarted)]
    finally:
        engine.close()
        store.keep_best_weights = keep

    records = store.trials()
    assert [record.outcome for record in records] == [Outcome.COMPLETED] * trials
    assert sum(record.deaths or 0 for record in records) == trials // 25
    times = [json.loads(file.read_text()) for file in (store.folder / "weights").glob("*.times")]
    assert len(times) == trials
    changes = sorted(
        [(begun, size) for begun, _, size in times] + [(ended, -size) for _, ended, size in times]
    )
    assert max(accumulate(size for _, size in changes)) <= budget
    first = {number: place for place, number in reversed(list(enumerate(started)))}
    for number, place in first.items():
        assert sum(other > number for other in started[:place]) <= OVERTAKEN + workers
