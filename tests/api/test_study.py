"""Whole searches from Python, with real workers on the embedded digits."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.datasets import open_data
from nas.driver.prepare import reopened
from nas.errors import StorageError, StudyError
from nas.events import EpochTrained, Event, Forecast, SearchStarted, TrialEnded, TrialStarted
from nas.study.outcome import Outcome
from tests.space.test_load import MINIMAL

Search = Callable[..., nas.Study]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """`nas.search` of small networks in a temporary folder."""

    def run(**settings: Any) -> nas.Study:
        defaults = {"space": "mlp", "trials": 3, "epochs": 2, "workers": 1, "threads": 1, "device": "cpu"}
        return nas.search(**defaults | {"folder": tmp_path / "studies"} | settings)

    run.folder = tmp_path / "studies"
    return run


def table(study: nas.Study) -> list[tuple[Any, ...]]:
    """All of a study that a seed decides: everything but times, memory and who did it."""
    return [
        (
            trial.number,
            trial.record.outcome,
            trial.record.reason,
            trial.value,
            tuple(trial.params.items()),
            trial.record.digest,
            trial.record.seed,
            trial.record.num_parameters,
            trial.record.multiply_adds,
            tuple((e.train_loss, e.val_loss, e.val_accuracy, e.learning_rate) for e in trial.record.epochs),
        )
        for trial in study.trials
    ]


@pytest.mark.parametrize(
    ("space", "trials", "outcomes"),
    [
        ("mlp", 3, {Outcome.COMPLETED}),
        pytest.param("cnn_fc", 9, {Outcome.COMPLETED}, marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_trials_bit_for_bit(search, space, trials, outcomes):
    settings = {"space": space, "trials": trials, "epochs": 3}
    first = table(search(study="first", **settings))
    assert len(first) == trials
    assert {row[1] for row in first} >= outcomes
    assert table(search(study="second", **settings)) == first
    assert table(search(study="third", seed=1, **settings | {"trials": 2})) != first[:2]


@pytest.mark.slow
def test_the_same_proposal_gives_the_same_result_in_another_worker(search):
    settings = {"sampler": "random", "trials": 3, "epochs": 6}  # longer than it takes to plan the next one
    alone, together = (
        {row[5]: row[3:] for row in table(search(study=f"of {workers}", workers=workers, **settings))}
        for workers in (1, 2)
    )
    assert len(alone) == 3
    assert together == alone
    records = [trial.record for trial in nas.load_study("of 2", folder=search.folder).trials]
    assert {record.worker for record in records} == {0, 1}


def test_the_best_trial_is_rebuilt_from_the_study_alone_and_scores_what_it_scored(search, tmp_path):
    search(space="cnn_fc", trials=2, epochs=1)
    study = nas.load_study(folder=tmp_path / "studies")
    assert study.name == "cnn_fc-digits"
    assert study.best is not None
    assert study.best.value == max(trial.value for trial in study.trials if trial.value is not None)
    model = study.best.load_model()
    data = open_data("digits")
    images = torch.tensor(data.val.images).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (data.mean, data.std))
    predicted = model((images - mean) / std).argmax(1)
    assert (predicted == torch.tensor(data.val.labels)).float().mean().item() == pytest.approx(
        study.best.value
    )
    fresh = study.best.build()
    assert sum(p.numel() for p in fresh.parameters()) == study.best.record.num_parameters


@pytest.mark.slow
def test_the_best_three_keep_their_weights_and_the_others_lose_them(search, tmp_path):
    study = search(trials=5, epochs=1, pruner="none")
    ranked = sorted(study.trials, key=lambda trial: (-(trial.value or 0), trial.number))
    assert all(trial.weights for trial in ranked[:3])
    assert not any(trial.weights for trial in ranked[3:])
    assert len(list((tmp_path / "studies" / "mlp-digits" / "weights").iterdir())) == 3
    with pytest.raises(StudyError, match="Only the best three"):
        ranked[-1].load_model()


@pytest.mark.usefixtures("scripted")
def test_what_a_search_is_likely_to_take_is_told_to_watchers_and_stored(search):
    told: list[Event] = []
    study = search(trials=2, watch=told.append)
    (said,) = [event for event in told if isinstance(event, Forecast)]
    assert said.trials == 2
    assert 0 < said.low <= said.seconds <= said.high
    assert Forecast(**study.store.row["forecast"] | {"starts": said.starts}) == said


@pytest.mark.usefixtures("scripted")
def test_a_study_is_continued_to_a_larger_total_with_its_own_settings(search):
    events: list[Event] = []
    search(trials=2, seed=7, pruner="none")
    study = nas.search(
        study="mlp-digits", trials=3, folder=search(trials=2).store.folder.parent, watch=events.append
    )
    assert [trial.record.outcome for trial in study.trials] == [Outcome.COMPLETED] * 3
    assert sum(isinstance(event, TrialStarted) for event in events) == 1
    (start,) = [event for event in events if isinstance(event, SearchStarted)]
    assert (start.recipe.seed, start.recipe.epochs, start.counts["completed"]) == (7, 2, 2)


@pytest.mark.usefixtures("scripted")
def test_a_search_leaves_no_connection_to_the_server_open(search, postgres, postgres_url):
    database = postgres_url.rpartition("/")[2]
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"

    def wait_until_all_are_closed() -> None:  # the server is told, and takes its time
        while postgres.sql(query):
            time.sleep(0.05)

    study = search(trials=1, storage=postgres_url)
    wait_until_all_are_closed()
    with reopened(study.store, None):
        assert postgres.sql(query)
    wait_until_all_are_closed()
    assert len(study.trials) == 1


@pytest.mark.usefixtures("scripted")
def test_a_change_that_makes_trials_incomparable_is_refused(search):
    search(trials=1)
    for change in ({"epochs": 3}, {"seed": 5}, {"split_seed": 1}, {"threads": 2}, {"precision": "bf16"}):
        with pytest.raises(StudyError, match=rf"{next(iter(change))} .*--study OTHER"):
            search(trials=2, **change)


@pytest.mark.usefixtures("scripted")
def test_a_study_whose_space_has_changed_is_neither_continued_nor_rebuilt(search, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINIMAL)
    study = search(space=str(file), trials=1)
    file.write_text(
        MINIMAL.replace("def suggest", "VERSION = 2\ndef suggest").replace('"width"', '"breadth"')
    )
    with pytest.raises(StudyError, match="version 1 of search space 'mine', now it is 2"):
        search(space=str(file), trials=2)
    with pytest.raises(StudyError, match=r"has changed since \(then version 1, now 2\)"):
        study.best.build()


def test_a_search_never_needs_the_test_images(search, tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    data = open_data("digits")
    for file in data.folder.glob("test_*"):
        file.unlink()
    assert search(trials=1).best is not None


def test_a_database_that_fails_in_the_midst_of_a_search_is_one_clear_line(search, tmp_path):
    def spoil(event: Event) -> None:
        if isinstance(event, EpochTrained):
            with sqlite3.connect(tmp_path / "studies" / "nas.db") as connection:
                connection.execute("ALTER TABLE nas_epochs RENAME TO elsewhere")

    with pytest.raises(StorageError, match=r"nas\.db failed: no such table: nas_epochs") as error:
        search(epochs=5, watch=spoil)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("scripted")
def test_the_lock_lies_with_the_data_whatever_folder_the_results_go_to(search, tmp_path):
    url = f"sqlite:///{tmp_path}/shared.db"
    refused = []

    def search_too(event: Event) -> None:
        if isinstance(event, TrialStarted) and not refused:
            with pytest.raises(StudyError, match="already being searched"):
                search(storage=url, folder=tmp_path / "elsewhere")
            refused.append(True)

    search(storage=url, trials=1, watch=search_too)
    assert refused


@pytest.mark.usefixtures("scripted")
def test_a_space_that_fails_at_once_leaves_no_study_behind(search, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def suggest(trial, data):\n    return 1 / 0\n")
    with pytest.raises(nas.NasError, match="line 2"):
        search(space=str(file))
    file.write_text(MINIMAL)
    assert search(space=str(file), epochs=3, trials=1).best is not None


def test_an_error_in_build_fails_the_trial_with_the_line_of_the_users_file(search, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        MINIMAL.replace("data.shape\n", "data.shape[: 3 if self.width == 1 else 2]\n").replace(
            "1, 4", "1, 999"
        )
        + "\ndef starts(data):\n    return [{'width': 1, 'lr': 0.1}]\n"
    )
    ended: list[TrialEnded] = []
    with pytest.raises(nas.NasError, match=r"5 failures in a row.*mine\.py, line 11: ValueError"):
        search(
            space=str(file),
            trials=9,
            watch=lambda e: ended.append(e) if isinstance(e, TrialEnded) else None,
        )
    assert [event.outcome for event in ended] == [Outcome.COMPLETED, *[Outcome.FAILED] * 5]


def test_a_name_that_is_no_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        nas.serach  # noqa: B018
    assert set(nas.__all__) <= set(dir(nas))
