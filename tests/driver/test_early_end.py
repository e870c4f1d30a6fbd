"""What a trial tells within its first epoch is stored, and may end it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

import nas
from nas.engines.messages import Died, Ended, Message, Reported, Task
from nas.pruners import standard_error
from nas.training.partial import PartialReport
from tests.conftest import DIGITS
from tests.scripted import epoch, outcomes, run

CURVE = (0.5, 0.6, 0.7)


def reported(number: int, images: int, accuracy: float, *, again: bool = False) -> Reported:
    report = PartialReport(images_seen=images, val_images=270, val_accuracy=accuracy)
    return Reported(number=number, report=report, again=again)


def learns_slower(number: int, by: float, *, again: bool = False) -> Iterator[Message]:
    """Two reports, then epochs, each so much below those of a good trial."""
    for images, accuracy in ((300, 0.3), (600, 0.4)):
        yield reported(number, images, accuracy - by, again=again)
    for step, accuracy in enumerate(CURVE, start=1):
        yield epoch(number, step, accuracy - by)
    yield Ended(number=number, how="completed")


def second(script: Callable[[int], Iterator[Message]]) -> Callable[[Task], Iterator[Message]]:
    """A good trial, and then one of this script."""
    return lambda task: learns_slower(0, 0.0) if task.number == 0 else script(task.number)


@pytest.fixture
def study(make_store):
    return make_store(trials=2, epochs=3, pruner="standard_error")


def test_a_trial_far_behind_ends_within_its_first_epoch(study, mlp):
    _, engine = run(study, mlp, second(lambda number: learns_slower(number, 0.29)))
    good, poor = study.trials()
    assert (outcomes(study), engine.stopped) == (["completed", "pruned"], [1])
    assert poor.reason == "pruner: 0.0100 after 300 images, where every good trial had 0.3000 or more"
    assert (poor.epochs, [report.images_seen for report in poor.partial_reports]) == ((), [300])
    assert good.partial_reports == (reported(0, 300, 0.3).report, reported(0, 600, 0.4).report)
    assert good.to_json()["partial_reports"][0] == {
        "images_seen": 300,
        "val_images": 270,
        "val_accuracy": 0.3,
    }


def test_one_that_is_not_far_behind_goes_on(study, mlp):
    run(study, mlp, second(lambda number: learns_slower(number, 0.1)))
    assert outcomes(study) == ["completed", "completed"]


def test_what_was_reported_before_an_interruption_is_stored_again_and_not_judged_again(study, mlp):
    run(study, mlp, second(lambda number: learns_slower(number, 0.11, again=True)))
    _, again = study.trials()
    assert (again.outcome.value, len(again.partial_reports)) == ("completed", 2)
    assert study.curve(1)[:2] == [(300, pytest.approx(0.19)), (600, pytest.approx(0.29))]


def test_a_worker_that_dies_may_report_once_more_what_is_known(study, mlp, monkeypatch):
    asked = []

    def stop(self, number, images_seen, accuracy):
        asked.append((number, images_seen))

    monkeypatch.setattr(standard_error.StandardErrorPruner, "stop", stop)
    attempts = []

    def script(number):
        attempts.append(number)
        if len(attempts) == 1:
            yield from list(learns_slower(number, 0.1))[:2]
            yield Died(worker=0, number=number, reason="no such luck")
        yield from learns_slower(number, 0.1)

    run(study, mlp, second(script))
    assert asked[4:] == [(1, 300), (1, 600), (1, 1257), (1, 2514)]
    assert outcomes(study) == ["completed", "completed"]


@pytest.mark.parametrize(("pruner", "points"), [("none", []), ("median", [2560]), ("standard_error", [2560])])
def test_reports_are_asked_for_where_somebody_decides_by_them(make_store, mlp, monkeypatch, pruner, points):
    monkeypatch.setattr("tests.scripted.DIGITS", replace(DIGITS, num_train=5120))
    store = make_store(trials=1, epochs=1, pruner=pruner, training={"batch_size": 64})
    _, engine = run(store, mlp.fixing({"batch_size": 64}), lambda task: learns_slower(0, 0.0))
    assert engine.given[0].report_points == points


@pytest.mark.slow
def test_workers_report_within_the_first_epoch_of_many_images(tmp_path):
    chance = np.random.default_rng(0)
    labels = np.arange(8000) % 2
    images = (100 * labels[:, None, None] + chance.integers(0, 100, (8000, 8, 8))).astype(np.uint8)
    np.savez(tmp_path / "many.npz", images=images, labels=labels)
    settings = {"space": "mlp", "data": str(tmp_path / "many.npz"), "folder": tmp_path, "device": "cpu"}
    settings["training"] = {"batch_size": 64}
    study = nas.search(**settings, trials=1, epochs=2, workers=1)
    (trial,) = study.trials
    ((images_seen, val_images),) = [
        (report.images_seen, report.val_images) for report in trial.record.partial_reports
    ]
    assert (images_seen, val_images) == (2560, 1000)
    assert trial.record.partial_reports[0].val_accuracy > 0.4
