"""A disk that fills up or a folder that goes read-only under a study: one line, and nothing half-written."""

import errno
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from nas.engines.checkpoint import Checkpoint
from nas.engines.worker import save_weights
from nas.errors import StorageError
from nas.recipe import Recipe
from nas.space.load import Space
from nas.study.database import make_folder, open_database, storage_errors, storage_url
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.writer import StudyWriter
from nas.training.epoch import Epoch
from tests.conftest import DIGITS

SIZE = 4 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes what room there is, to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"\1" * 4096)
    return ballast


def read_only(disk: Path, on: bool) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=True)


@pytest.fixture
def store(disk: Path) -> StudyWriter:
    recipe = Recipe.load(space="mlp", study="study", sampler="random", pruner="none", folder=disk)
    storage = open_database(storage_url(None, disk), create=True)
    make_folder(disk / "study")
    store = StudyWriter.create(storage, "study", disk, recipe, 1, {})
    store.begin()
    return store


def epoch(number: int) -> Epoch:
    return Epoch(
        number=number,
        train_loss=1.0,
        val_loss=1.0,
        val_accuracy=0.5,
        learning_rate=0.1,
        seconds=1.0,
        images_per_second=1.0,
        peak_allocated=None,
        peak_reserved=None,
        peak_resident=None,
    )


def train(
    store: StudyWriter, space: Space, trials: int, heard: Callable[[int], None] = lambda number: None
) -> None:
    """Trials of three epochs, as the driver tells of them; `heard` is called after what was stored."""
    for _ in range(trials):
        trial = store.ask()
        space.suggest(trial, DIGITS)
        for number in (1, 2, 3):
            store.report(trial, epoch(number))
            heard(trial.number)
        store.tell(trial.number, Outcome.COMPLETED, value=0.5)


def completed(store: StudyWriter) -> list[TrialRecord]:
    return [record for record in store.trials() if record.outcome is Outcome.COMPLETED]


def test_a_study_whose_disk_fills_up_stops_with_one_line_and_goes_on_when_there_is_room(disk, store, mlp):
    train(store, mlp, 2)
    ballast = fill(disk)
    heard: list[int] = []
    with pytest.raises(StorageError) as error, storage_errors(storage_url(None, disk), disk):
        train(store, mlp, 100, heard.append)
    assert "the disk is full. Free some room. What was stored is intact" in str(error.value)
    assert "\n" not in str(error.value)

    ballast.unlink()
    again = StudyWriter.find(open_database(storage_url(None, disk), create=False), "study", disk)
    again.begin()
    epochs = sum(len(record.epochs) for record in again.trials())
    assert epochs in (6 + len(heard), 7 + len(heard)), "what was acknowledged is there; one more may be"
    train(again, mlp, 2)
    assert len(completed(again)) >= 4
    assert all(len(record.epochs) == 3 for record in completed(again))
    with sqlite3.connect(disk / "nas.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_study_whose_folder_goes_read_only_stops_with_one_line_and_goes_on_later(disk, store, mlp):
    train(store, mlp, 1)
    store.storage.close()
    read_only(disk, True)
    with pytest.raises(StorageError) as error, storage_errors(storage_url(None, disk), disk):
        train(store, mlp, 1)
    assert "writable" in str(error.value)
    assert "\n" not in str(error.value)
    read_only(disk, False)
    store.begin()
    train(store, mlp, 1)
    assert len(completed(store)) == 2


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_file_is_written_whole_or_the_one_before_stays(disk, trouble):
    model, weights = torch.nn.Linear(100, 100), disk / "weights" / "trial-00000.safetensors"
    checkpoint = Checkpoint(disk / "checkpoints" / "trial-00000.pt", "trial")
    save_weights(model, weights)
    checkpoint.save({"step": 1}, [epoch(1)])
    before = weights.read_bytes()
    if trouble == "full":
        ballast = fill(disk)
    else:
        read_only(disk, True)
    for write in (
        lambda: save_weights(torch.nn.Linear(100, 100), weights),
        lambda: checkpoint.save({"weights": torch.ones(10_000)}, [epoch(1), epoch(2)]),
    ):
        with pytest.raises(OSError) as error:
            write()
        assert error.value.errno in (errno.ENOSPC, errno.EROFS)
        with pytest.raises(StorageError, match="the same command goes on"), storage_errors("x", disk):
            write()
    assert weights.read_bytes() == before
    assert checkpoint.load() == ({"step": 1}, [epoch(1)])
    if trouble == "full":
        assert sorted(file.name for file in disk.rglob("*.part")) == []
        ballast.unlink()
    else:
        read_only(disk, False)
    save_weights(model, weights)
    checkpoint.save({"step": 2}, [epoch(1), epoch(2)])
    assert checkpoint.load() == ({"step": 2}, [epoch(1), epoch(2)])


def test_opening_a_study_on_a_full_disk_is_one_clear_line(disk):
    fill(disk)
    with pytest.raises(StorageError) as error:
        open_database(storage_url(None, disk), create=True)
    assert "full" in str(error.value) or "No space left" in str(error.value)
    assert "\n" not in str(error.value)
