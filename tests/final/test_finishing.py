"""The final training of a study, with real workers: what is trained, what ships, and what it is worth."""

import json
import os
import shutil
import signal
import sqlite3
import time
from statistics import fmean, stdev

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

import nas
from nas.datasets import open_data
from nas.errors import InvalidSetting, StudyError
from nas.events import Event, Notice, TrialStarted
from nas.study.lock import study_lock
from nas.study.openings import openings
from nas.training.images import Images
from nas.training.loop import Trainer
from tests.final.conftest import STUDY, TRAIN, Watched

TEST_FILES = ("test_images.npy", "test_labels.npy")


def classified(study: nas.Study) -> np.ndarray:
    """Test images, as the weights that ship see them."""
    assert study.final is not None
    data = open_data("digits")
    images = torch.tensor(data.open_test().images).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (data.mean, data.std))
    with torch.inference_mode():
        return study.final.load_model()((images - mean) / std).argmax(1).numpy()


# a search ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_process_of_a_search_opens_the_test_images(searched):
    processes = {process for process, _ in searched.opened("train_images.npy")}
    assert len(processes) == 3, "the workers of the search and of its baseline, and the driver for checksums"
    assert not any(searched.opened(file) for file in TEST_FILES)


# what is trained --------------------------------------------------------------------------------------------


def test_the_best_trials_the_random_start_and_the_baseline_are_trained_on_every_seed(trained):
    ranked = sorted(trained.trials, key=lambda trial: (-(trial.value or 0), trial.number))
    rows = {row["name"]: row for row in trained.final.result["retrained"]}
    assert list(rows) == [f"trial {trial.number}" for trial in ranked[:2]] + ["logistic"]
    assert rows[f"trial {ranked[0].number}"]["rival"] == "best of the random start"
    assert rows["logistic"]["rival"] == "baseline logistic"
    for row in rows.values():
        first, second = row["values"]
        assert row["mean"] == pytest.approx(fmean([first, second]))
        assert row["deviation"] == pytest.approx(stdev([first, second]))
    losses = {
        tuple(epoch.train_loss for epoch in trial.record.epochs)
        for store in _companions(trained, "retrain")
        for trial in nas.Study(store).trials
    }
    assert len(losses) == 6, "each network and each seed learns otherwise"


def test_the_winner_has_the_best_mean_of_the_best_trials(trained):
    rows = [row for row in trained.final.result["retrained"] if row["trial"] is not None]
    assert trained.final.number == max(rows, key=lambda row: row["mean"])["trial"]


def test_what_ships_was_trained_on_training_and_validation_images_with_the_first_seed(trained):
    final = trained.final
    data, threads = open_data("digits"), torch.get_num_threads()
    images = Images.load(data, torch.device("cpu")).with_val()
    assert len(images.train) == data.info.num_train + data.info.num_val
    torch.manual_seed(final.result["seed"])
    try:
        torch.set_num_threads(1)
        model = final.build()
        trainer = Trainer(
            model,
            images,
            final.proposal.training,
            epochs=3,
            precision="fp32",
            seed=final.result["seed"],
        )
        assert len(list(trainer.run())) == 3
    finally:
        torch.set_num_threads(threads)
    shipped = load_file(final.weights)
    assert all(torch.equal(tensor, shipped[name]) for name, tensor in model.state_dict().items())
    first_seeds = [
        trial.record.seed
        for store in _companions(trained, "retrain")
        for trial in nas.Study(store).trials
        if trial.params["nas:seed"] == 0
    ]
    assert final.result["seed"] in first_seeds


def _companions(study: nas.Study, phase: str):
    from nas.study.writer import StudyWriter

    store = study.store
    with store.engine.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM nas_studies").scalars().all()
    return [StudyWriter(store.storage, name, store.folder.parent) for name in names if f".{phase}-" in name]


# what the test images say -----------------------------------------------------------------------------------


def test_accuracy_classes_and_confusion_are_those_of_the_weights_that_ship(trained):
    final = trained.final
    labels, predicted = np.asarray(open_data("digits").open_test().labels), classified(trained)
    assert final.test_accuracy == pytest.approx((predicted == labels).mean())
    for true in range(10):
        mine = predicted[labels == true]
        assert final.result["confusion"][true] == [int((mine == taken).sum()) for taken in range(10)]
        assert final.result["class_accuracies"][true] == pytest.approx((mine == true).mean())
    low, high = final.interval
    assert low < final.test_accuracy < high


def test_the_gain_above_each_rival_is_a_number_with_an_interval(trained):
    final = trained.final
    gains = {gain["name"]: gain for gain in final.result["gains"]}
    assert set(gains) == {"best of the random start", "baseline logistic"}
    for gain in gains.values():
        assert gain["gain"] == pytest.approx(final.test_accuracy - gain["test_accuracy"])
        low, high = gain["interval"]
        assert low <= gain["gain"] <= high
    assert gains["baseline logistic"]["interval"][0] < gains["baseline logistic"]["interval"][1]


# who hears of it --------------------------------------------------------------------------------------------


def test_the_final_model_is_told_by_json_and_pages(trained, monkeypatch, capsys):
    from nas.views.terminal import show
    from nas.views.terminal.final import final_page
    from nas.views.terminal.summary import summary_page
    from nas.views.terminal.trials import study_page

    content = json.loads(json.dumps(trained.to_json()))["final"]
    assert content["test_accuracy"] == trained.final.test_accuracy
    assert content["openings"] == len(openings(trained.store))
    accuracy = f"{trained.final.test_accuracy:.4f}"
    monkeypatch.setenv("COLUMNS", "100")
    folder = trained.store.folder.parent
    pages = [final_page(trained, trained.final), study_page(trained, 100)]
    for page in pages:
        show(page)
        shown = capsys.readouterr().out
        assert f"Final model: trial {trained.final.number}, test accuracy {accuracy}" in shown
        assert "test images were opened" in shown
        assert shown.count(f"nas export {STUDY} --folder {folder}\n") == (page is pages[0])
    show(summary_page(trained, trained.trials))
    assert accuracy in capsys.readouterr().out


def test_the_report_says_how_often_the_test_images_were_opened(trained):
    pytest.importorskip("plotly")
    from nas.views.report.page import render

    page = render(trained)
    assert "openings of the test images" in page
    assert f"{trained.final.test_accuracy:.4f}" in page


def test_the_final_weights_are_what_is_exported_with_their_test_accuracy(trained, tmp_path):
    final = trained.final
    final.export(tmp_path / "out", ["source"])
    exported = load_file(next((tmp_path / "out").glob("*.safetensors")))
    shipped = load_file(final.weights)
    assert sorted(tensor.sum().item() for tensor in exported.values()) == pytest.approx(
        sorted(tensor.sum().item() for tensor in shipped.values())
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{final.test_accuracy:.4f} ({final.interval[0]:.4f} to {final.interval[1]:.4f})" in card
    assert "trained on the validation images too" in card


def test_companions_of_the_final_training_are_no_baselines_and_no_studies_of_their_own(trained):
    assert list(trained.baselines) == ["logistic"]
    assert nas.load_study(folder=trained.store.folder.parent).name == STUDY


def test_a_companion_of_the_final_training_can_be_looked_at_like_any_study(trained):
    network = trained.trial(trained.final.number).layers()
    for phase in ("retrain", "ship"):
        (store,) = (store for store in _companions(trained, phase) if ".mlp." in store.name)
        study = nas.Study(store)
        layers = [trial.layers() for trial in study.trials]
        assert network in layers
        assert study.best.load_model()


# resuming, and opening again --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resumed(copied) -> tuple[Watched, str]:
    """A final training that was killed twice on its way, and what its last run has printed."""
    watched = copied()
    for phase in ("retrain", "ship"):
        process = watched.nas(*TRAIN)
        while not _epochs(watched, phase):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        psutil.wait_procs(workers)
    assert watched.opened("train_images.npy")
    assert not any(watched.opened(file) for file in TEST_FILES), "the test images come last"
    process = watched.nas(*TRAIN)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return watched, out


def _epochs(watched: Watched, phase: str) -> int:
    query = "SELECT COUNT(*) FROM nas_epochs JOIN nas_studies USING (study_uuid) WHERE name LIKE ?"
    with sqlite3.connect(watched.folder / "nas.db") as database:
        return int(database.execute(query, (f"%.{phase}-%",)).fetchone()[0])


@pytest.mark.slow
def test_killed_at_any_phase_it_goes_on_with_the_same_command_to_the_same_result(trained, resumed):
    watched, _ = resumed
    ours, theirs = (study.final for study in (nas.load_study(STUDY, folder=watched.folder), trained))
    same = set(ours.result) - {"weights"}
    assert {name: ours.result[name] for name in same} == {name: theirs.result[name] for name in same}
    shipped, reference = load_file(ours.weights), load_file(theirs.weights)
    assert all(torch.equal(shipped[name], reference[name]) for name in reference)


@pytest.mark.slow
def test_the_test_images_are_opened_once_by_one_process_and_recorded_before(resumed, tmp_path):
    reference = Watched(tmp_path)
    program = "from nas.datasets import open_data; open_data('digits').open_test()"
    assert reference.start("-c", program).wait(60) == 0
    watched, out = resumed
    for file in TEST_FILES:
        opened = watched.opened(file)
        assert len(opened) == len(reference.opened(file)) > 0
        assert len({process for process, _ in opened}) == 1
        assert {recorded for _, recorded in opened} == {"1"}
    assert "The test images were opened once." in out


def test_another_opening_is_refused_unless_asked_for_and_then_it_is_counted(trained, tmp_path):
    shutil.copytree(trained.store.folder.parent, tmp_path / "copied")
    study = nas.load_study(STUDY, folder=tmp_path / "copied")
    first, events = study.final, list[Event]()
    assert first.openings == 1
    with pytest.raises(StudyError, match=r"opened once already.*nas train --again"):
        study.train(top=2, seeds=2, epochs=3)
    with pytest.raises(StudyError, match="opened once already"):
        study.train(epochs=7)
    again = study.train(top=2, seeds=2, epochs=3, again=True, watch=events.append)
    assert not any(isinstance(event, TrialStarted) for event in events), "all of it is trained"
    assert again.openings == study.final.openings == study.to_json()["final"]["openings"] == 2
    assert again.test_accuracy == first.test_accuracy
    assert "(opened 2 times)" in again._retrained.split

    with sqlite3.connect(study.store.folder.parent / "nas.db") as database:
        database.execute("UPDATE nas_finals SET result = NULL, test_accuracy = NULL")  # killed while open
    assert study.final is None
    with pytest.raises(StudyError, match=r"2 times already.*ended before their accuracy was known"):
        study.train()


# what cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"epochs": 0}, "epochs cannot be 0"),
        ({"top": 0}, "top cannot be 0"),
        ({"seeds": -1}, "seeds cannot be -1"),
        ({"ema": 1.0}, r"ema cannot be 1.0: a decay between 0 and 1"),
        ({"mirror": True}, "a mirrored image of digits may be of another class"),
        ({"compile": True}, "compile needs a CUDA device, not cpu"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_before_anything_is_trained(searched, asked, message):
    study = nas.load_study(STUDY, folder=searched.folder)
    with pytest.raises((InvalidSetting, nas.NasError), match=message):
        study.train(**asked)
    assert not openings(study.store)


def test_a_study_without_a_completed_trial_is_refused(copied):
    watched = copied()
    with sqlite3.connect(watched.folder / "nas.db") as database:
        database.execute("UPDATE nas_trials SET outcome = 'failed', value = NULL")
    with pytest.raises(StudyError, match="no completed trial yet"):
        nas.load_study(STUDY, folder=watched.folder).train()


def test_a_study_that_another_driver_holds_is_refused(searched):
    study = nas.load_study(STUDY, folder=searched.folder)
    with study_lock(study.store.storage, STUDY), pytest.raises(StudyError, match="process"):
        study.train()


def test_notices_say_what_each_phase_trains(copied):
    study, notices = nas.load_study(STUDY, folder=copied().folder), []

    def stop(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)
            raise KeyboardInterrupt  # as Ctrl-C does there

    with pytest.raises(KeyboardInterrupt):
        study.train(top=1, seeds=2, epochs=5, watch=stop)
    assert notices[0].startswith("Retraining on training images, 2 seeds each, 5 epochs: trial ")
    assert study.final is None
