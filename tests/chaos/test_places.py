"""`nas search` whose disk fills up, or whose server is restarted, in the midst of it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import nas
from tests.chaos.aftermath import check_curves, check_files, check_records
from tests.chaos.killing import PATIENCE, Epochs
from tests.study.test_full_disk import fill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("real_start")]

EPOCHS = 40

BASELINE = """
from search_spaces.mlp import Mlp
from nas.space import Proposal, Training

def suggest(trial, data):
    network = Mlp(fc_units=(48,), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(network, Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""


def search(folder: Path, storage: str, said: Path, *more: str) -> subprocess.Popen[bytes]:
    flags = [
        "--space=mlp",
        "--study=study",
        f"--epochs={EPOCHS}",
        "--workers=1",
        "--threads=1",
        "--device=cpu",
    ]
    flags += ["--sampler=random", "--pruner=none", f"--folder={folder}", f"--storage={storage}", *more]
    with said.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "nas", "search", *flags], stdout=stream, stderr=subprocess.STDOUT
        )


def wait_for_epochs(storage: str, number: int, search: subprocess.Popen[bytes]) -> None:
    epochs, until = Epochs(storage), time.monotonic() + PATIENCE
    while epochs.trained() < number:
        assert search.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("beside", [True, False], ids=["the database", "the study's folder alone"])
def test_a_search_whose_disk_fills_up_ends_with_one_line_and_goes_on_when_there_is_room(
    disk, tmp_path, beside
):
    storage, said = f"sqlite:///{disk if beside else tmp_path}/nas.db", tmp_path / "said"
    first = search(disk, storage, said, "--trials=1", "-q")
    wait_for_epochs(storage, 3, first)
    ballast = fill(disk)
    assert first.wait(PATIENCE) == 2
    (line,) = said.read_text().splitlines()
    assert "What was stored is intact; once that is mended, the same command goes on." in line
    assert "the disk is full" in line or "No space left on device" in line

    ballast.unlink()
    second = search(disk, storage, said, "--trials=1", "-q")
    assert second.wait(PATIENCE) == 0, said.read_text()
    study = nas.load_study("study", storage=storage, folder=disk)
    check_records(study.store, 1, EPOCHS)
    check_files(study)
    assert check_curves(study, tmp_path / "undisturbed", most=1) == 1


def test_a_search_on_postgresql_waits_while_its_server_is_restarted(postgres, postgres_url, tmp_path):
    baseline, said = tmp_path / "plain.py", tmp_path / "said"
    baseline.write_text(BASELINE)
    running = search(tmp_path, postgres_url, said, "--trials=2", f"--baseline={baseline}")
    for number in (10, EPOCHS + 10):  # of the baseline, then of the search
        wait_for_epochs(postgres_url, number, running)
        postgres.restart("immediate")
    assert running.wait(PATIENCE) == 0, said.read_text()
    text = said.read_text()
    assert text.count("does not answer") == text.count("answers again after") >= 1
    assert "Traceback" not in text
    study = nas.load_study("study", storage=postgres_url, folder=tmp_path)
    check_records(study.store, 2, EPOCHS)
    check_files(study)
    (companion,) = study.store.companions()
    check_records(companion, 1, EPOCHS)
