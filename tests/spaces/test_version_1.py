"""Studies of version 1 of cnn_fc and residual, from a database of that time, are still of use."""

import gzip
import io
import sqlite3
from pathlib import Path

import pytest
from nas.study.weights import weights_path
from optuna.trial import FixedTrial
from safetensors.torch import save_file

import nas
from nas.driver.prepare import prepared
from nas.engines.messages import Setup
from nas.engines.worker import Worker
from nas.recipe import Recipe
from nas.space.load import load_space
from nas.study.replay import space_of
from tests.conftest import Nas
from tests.scripted import DIGITS

DUMP = Path(__file__).with_name("version_1.sql.gz")
"""Of `nas search` with 3 trials of cnn_fc and 2 of residual on digits, one epoch each."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    database = sqlite3.connect(tmp_path / "nas.db")
    database.executescript(gzip.decompress(DUMP.read_bytes()).decode())
    database.close()
    return tmp_path


@pytest.mark.parametrize(("name", "trials"), [("old", 3), ("old_residual", 2)])
def test_every_trial_is_rebuilt_as_it_was(folder: Path, name: str, trials: int) -> None:
    study = nas.load_study(name, folder=folder)
    assert len(study.trials) == trials
    for trial in study.trials:
        assert trial.proposal.digest == trial.record.digest
        assert sum(each.numel() for each in trial.build().parameters()) == trial.record.num_parameters
    assert study.store.space_version == space_of(study.store).version == 1


def test_its_best_is_exported(folder: Path) -> None:
    best = nas.load_study("old", folder=folder).best
    assert best is not None
    weights = weights_path(folder / "old", best.number)
    weights.parent.mkdir(parents=True)
    save_file(best.build().state_dict(), weights)
    export = best.export(folder / "export", formats=["source"])
    assert "model.py" in export.files


def test_it_is_searched_no_further_but_another_starts_from_its_best(nas: Nas, folder: Path) -> None:
    code, out, err = nas("search", "--study", "old", "--folder", folder, "--trials", 9)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "made with version 1 of search space 'cnn_fc', now it is 3" in err
    assert "--warm-start old --study OTHER" in err


def test_a_new_study_starts_from_what_the_space_still_knows_of_its_best(folder: Path) -> None:
    best = nas.load_study("old", folder=folder).best
    assert best is not None
    with prepared(Recipe.load(study="new", folder=folder, warm_start="old", device="cpu"), None) as run:
        first = run.store.trials()[0].params
        assert run.store.space_version == 3
    assert {"log2_filters", "conv_stages", "fc_layers", "optimizer"} <= first.keys()
    assert all(best.params[name] == value for name, value in first.items())


def test_a_worker_rebuilds_the_version_that_its_study_was_made_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = nas.load_study("old", folder=folder)
    given: list[Setup] = []

    class Engine:
        def __init__(self, setup: Setup, *_: object) -> None:
            given.append(setup)
            raise InterruptedError

    monkeypatch.setattr("nas.engines.kinds.local.LocalEngine", Engine)
    with pytest.raises(InterruptedError):
        study.train(top=1, seeds=1, epochs=1, workers=1)
    monkeypatch.setattr("nas.engines.worker.measure_constants", lambda images: {})
    for name in ("torch.set_num_threads", "gc.freeze"):  # of this process
        monkeypatch.setattr(f"nas.engines.worker.{name}", lambda *_: None)
    worker = Worker(0, given[0], io.BytesIO())
    assert worker.space.version == 1
    assert worker.space.module.__name__ == "search_spaces.earlier.cnn_fc_1"


@pytest.mark.slow
def test_its_best_is_retrained(folder: Path) -> None:
    final = nas.load_study("old", folder=folder).train(top=1, seeds=1, epochs=1, workers=1)
    assert final.test_accuracy > 0.2


def test_what_version_2_of_cnn_fc_proposed_is_rebuilt_by_version_2() -> None:
    now, data = load_space("cnn_fc"), DIGITS
    then = now.of_version(2)
    assert (then.version, now.version) == (2, 3)
    params = next(start for start in now.starts(data) or () if start["optimizer"] == "adamw")
    assert then.suggest(FixedTrial(params), data).digest == now.suggest(FixedTrial(params), data).digest
