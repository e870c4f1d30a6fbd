"""A small search, run once, whose processes write down which files of the dataset they open."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nas
from nas.datasets import open_data

ROOT = Path(__file__).parents[2]

WRITE_DOWN = """
import os, sqlite3, sys

def write_down(event, arguments):
    name = os.path.basename(str(arguments[0])) if event == "open" else ""
    if name in ("train_images.npy", "test_images.npy", "test_labels.npy"):
        recorded = "-"
        if name != "train_images.npy" and os.path.exists(os.environ["OPENED_DATABASE"]):
            with sqlite3.connect(os.environ["OPENED_DATABASE"]) as database:
                recorded = database.execute("SELECT COUNT(*) FROM nas_finals").fetchone()[0]
        with open(os.environ["OPENED"], "a") as file:
            print(os.getpid(), name, recorded, file=file)

sys.addaudithook(write_down)
"""
"""As sitecustomize.py, Python runs it at the start of every process, workers included."""

LOGISTIC = '''
"""Logistic regression."""
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Logistic:
    def build(self, data):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, data.num_classes))

def suggest(trial, data):
    return Proposal(Logistic(), Training(batch_size=64, optimizer="sgd", learning_rate=0.05))
'''

STUDY = "study"

TRAIN = ("train", STUDY, "--top=2", "--seeds=2", "--epochs=3")


class Watched:
    """Runs `nas` in a process of its own, and knows what it and its workers have opened."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "studies"
        self._log = home / "opened.txt"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        hooks = self.home / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "sitecustomize.py").write_text(WRITE_DOWN)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(hooks), str(ROOT)]),
            "OPENED": str(self._log),
            "OPENED_DATABASE": str(self.folder / "nas.db"),
        }
        command = [sys.executable, *arguments]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def nas(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("-m", "nas", *arguments, f"--folder={self.folder}")

    def opened(self, name: str) -> list[tuple[str, str]]:
        """Each opening of a file: the process, and the openings that the study had recorded by then."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        found = [line.split() for line in lines]
        return [(process, recorded) for process, file, recorded in found if file == name]


@pytest.fixture(scope="package")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """After a search of three trials of two epochs, with a baseline."""
    open_data("digits")  # decoded beforehand: writing the test split is no search
    watched = Watched(tmp_path_factory.mktemp("searched"))
    baseline = watched.home / "logistic.py"
    baseline.write_text(LOGISTIC)
    settings = {"space": "mlp", "study": STUDY, "trials": 3, "epochs": 2, "workers": 1, "threads": 1}
    settings |= {"device": "cpu", "pruner": "none", "baseline": str(baseline)}
    process = watched.nas("search", "-q", *(f"--{name}={value}" for name, value in settings.items()))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return watched


@pytest.fixture(scope="package")
def copied(searched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Watched]:
    """The same search, or what followed it, in a folder of its own."""

    def copy(original: Watched = searched) -> Watched:
        watched = Watched(tmp_path_factory.mktemp("copied"))
        shutil.copytree(original.folder, watched.folder)
        return watched

    return copy


@pytest.fixture(scope="package")
def trained(copied: Callable[..., Watched]) -> nas.Study:
    """After `nas train`, undisturbed."""
    study = nas.load_study(STUDY, folder=copied().folder)
    study.train(top=2, seeds=2, epochs=3)
    return study
