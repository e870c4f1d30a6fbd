"""What a search survives: the death of a worker or of the driver at any moment, and too little memory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import nas
from nas.engines.local import LocalEngine
from nas.events import EpochTrained, Event, Notice, TrialStarted
from nas.study.outcome import Outcome
from tests.chaos.killing import Epochs

EPOCHS = 40
SETTINGS: dict[str, Any] = {
    "space": "mlp",
    "study": "study",
    "trials": 1,
    "epochs": EPOCHS,
    "workers": 1,
    "threads": 1,
    "device": "cpu",
    "pruner": "none",
}

HEAVY = """
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Heavy:
    def build(self, data):
        layers = nn.Linear(64, 3400), nn.ReLU(), nn.Linear(3400, 3400), nn.ReLU(), nn.Linear(3400, 10)
        return nn.Sequential(nn.Flatten(), *layers)

def suggest(trial, data):
    rate = trial.suggest_float("rate", 1e-4, 1e-3)
    return Proposal(Heavy(), Training(batch_size=256, optimizer="adamw", learning_rate=rate))
"""

GREEDY = """
import torch
from dataclasses import dataclass
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from nas.space import Proposal, Training

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        if self.training and not isinstance(images, FakeTensor):
            hidden = torch.empty(len(images), 16 * 2**20, dtype=torch.uint8)  # that no prediction sees
        return self.layer(images.flatten(1))

@dataclass(frozen=True)
class Greedy:
    def build(self, data):
        return Network()

def suggest(trial, data):
    rate = trial.suggest_float("rate", 0.01, 0.1)
    return Proposal(Greedy(), Training(batch_size=64, optimizer="sgd", learning_rate=rate))
"""


def curves(study: nas.Study) -> list[list[tuple[float, ...]]]:
    """What trials learned, of those that count."""
    return [
        [(epoch.number, epoch.train_loss, epoch.val_loss, epoch.val_accuracy) for epoch in record.epochs]
        for record in (trial.record for trial in study.trials)
        if record.outcome.charged
    ]


def only_worker() -> psutil.Process:
    """Of a search in this process, which may have other children too."""
    (worker,) = (each for each in psutil.Process().children() if "nas.engines.worker" in each.cmdline())
    return worker


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> nas.Study:
    return nas.search(**SETTINGS, folder=tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_goes_on_and_ends_as_if_nothing_had_happened(undisturbed, tmp_path):
    kills, notices = 0, []

    def watch(event: Event) -> None:
        nonlocal kills
        if isinstance(event, Notice):
            notices.append(event.text)
        if isinstance(event, EpochTrained) and kills == len(notices) < 3:  # not while one is dying
            kills += 1
            only_worker().kill()

    study = nas.search(**SETTINGS, folder=tmp_path, watch=watch)
    assert [trial.record.outcome for trial in study.trials] == [Outcome.COMPLETED]
    assert study.trials[0].record.deaths == len(notices) == 3
    assert curves(study) == curves(undisturbed)


@pytest.mark.slow  # tests/driver/test_watchdog.py ends one without a process
def test_a_worker_that_hangs_is_ended_and_its_trial_goes_on(undisturbed, tmp_path, monkeypatch):
    hung = []

    def watch(event: Event) -> None:
        if isinstance(event, EpochTrained) and not hung:
            monkeypatch.setattr("nas.driver.watchdog.SHORTEST", 1.0)
            monkeypatch.setattr("nas.driver.watchdog.MULTIPLE", 1)
            worker = only_worker()
            worker.suspend()
            hung.append(worker)
        elif isinstance(event, Notice):
            monkeypatch.undo()
            hung.append(event.text)

    study = nas.search(**SETTINGS, folder=tmp_path, watch=watch)
    assert "hung: silent for" in hung[1]
    assert curves(study) == curves(undisturbed)


def searching(folder: Path) -> subprocess.Popen[bytes]:
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-m", "nas", "search", "-q", *flags, f"--folder={folder}"]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = searching(tmp_path)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("how", "group"),
    [
        (signal.SIGKILL, False),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
    ],
)
def test_a_driver_that_is_killed_goes_on_where_it_was_with_the_same_command(
    undisturbed, tmp_path, running, how, group
):
    epochs = Epochs(f"sqlite:///{tmp_path}/nas.db")
    wait_for(lambda: epochs.trained() >= 2)
    workers = psutil.Process(running.pid).children()
    for worker in workers if group else ():  # as systemd and batch systems end a service: all of it
        worker.send_signal(how)
    os.kill(running.pid, how)
    assert running.wait() == (-how if how == signal.SIGKILL else 130)
    if how == signal.SIGTERM:
        assert list((tmp_path / "study" / "checkpoints").glob("*.pt"))
    psutil.wait_procs(workers)  # no worker outlives its driver

    study = nas.search(**SETTINGS, folder=tmp_path)
    assert curves(study) == curves(undisturbed)
    assert not any(trial.record.deaths for trial in study.trials)
    outcomes = [trial.record.outcome for trial in study.trials]
    assert outcomes.count(Outcome.INTERRUPTED) == 1
    assert sum(outcome.charged for outcome in outcomes) == SETTINGS["trials"]
    assert not list((tmp_path / "study" / "checkpoints").glob("*"))


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process on the CPU is bounded on Linux")
def test_a_trial_that_needs_more_memory_than_predicted_recovers_with_the_same_effective_batch(tmp_path):
    file = tmp_path / "greedy.py"
    file.write_text(GREEDY)
    notices: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    settings = SETTINGS | {"space": str(file), "epochs": 2, "trials": 2}
    study = nas.search(**settings, folder=tmp_path, watch=watch)
    first, second = (trial.record for trial in study.trials)
    assert first.outcome is second.outcome is Outcome.COMPLETED
    assert first.recoveries >= 1
    assert first.plan["accumulation"] > 1
    assert first.plan["micro_batch"] * first.plan["accumulation"] == 64
    assert any("ran out of memory" in notice and "can't allocate memory" in notice for notice in notices)
    assert first.predicted > sum(first.predicted_memory.values()), "the next prediction was corrected"
    assert study.store.calibration["cpu"]


@pytest.mark.slow  # tests/driver/test_faults.py has the same without a process
def test_a_first_worker_that_is_killed_while_it_starts_is_started_again(tmp_path, monkeypatch):
    launch, notices = LocalEngine._launch, []

    def killed_at_its_start(engine: LocalEngine, index: int) -> Any:
        worker = launch(engine, index)
        if not notices:
            worker.process.kill()
        return worker

    def watch(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    monkeypatch.setattr(LocalEngine, "_launch", killed_at_its_start)
    study = nas.search(**SETTINGS | {"epochs": 1}, folder=tmp_path, watch=watch)
    assert [trial.record.outcome for trial in study.trials] == [Outcome.COMPLETED]
    (notice,) = notices
    assert notice.startswith("A worker is started again: worker 0 died by signal 9")


@pytest.mark.slow
@pytest.mark.usefixtures("own_sigint")
def test_a_trial_with_many_parameters_goes_on_from_its_checkpoint_within_the_memory_it_had(tmp_path):
    file = tmp_path / "heavy.py"
    file.write_text(HEAVY)
    started, notices = [], []

    def watch(event: Event) -> None:
        if isinstance(event, EpochTrained) and not stopped:
            stopped.append(event)
            signal.raise_signal(signal.SIGINT)
        if isinstance(event, TrialStarted):
            started.append(event.plan)
        if isinstance(event, Notice):
            notices.append(event.text)

    stopped: list[Event] = []
    settings = SETTINGS | {"space": str(file), "epochs": 2}
    nas.search(**settings, folder=tmp_path, watch=watch)
    study = nas.search(**settings, folder=tmp_path, watch=watch)
    first, second = (trial.record for trial in study.trials)
    assert (first.outcome, second.outcome) == (Outcome.INTERRUPTED, Outcome.COMPLETED)
    assert not notices
    assert started[0] == started[1]
    assert second.epochs[0] == first.epochs[0], "to the second: it was not trained again"
