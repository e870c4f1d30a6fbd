"""Within its first epoch a trial tells what it has learned so far, and learns what it would have learned."""

from dataclasses import replace

import pytest
import torch

from nas.training.evaluate import evaluate
from nas.training.partial import ENOUGH, PartialReport, report_points
from tests.training.samples import SGD, learned, network, trainer

POINTS = (256, 300, 512)


@pytest.mark.parametrize(
    ("num_train", "epochs", "batch_size", "points"),
    [
        (1_259, 1, 64, []),
        (5_119, 8, 64, []),
        (5_120, 8, 64, [2_560]),
        (45_000, 1, 64, [2_560, 5_120, 10_240, 20_480]),
        (45_000, 4, 64, [10_240, 20_480]),  # none in the first 32nd of the training
        (45_000, 12, 64, [20_480]),
        (45_000, 50, 64, []),  # an epoch is little
        (45_000, 1, 128, [5_120, 10_240, 20_480]),  # none before 40 steps
        (45_000, 1, 100, [5_120, 10_240, 20_480]),
        (45_000, 1, 10**6, []),
    ],
)
def test_reports_come_after_twice_as_many_images_each_time(num_train, epochs, batch_size, points):
    assert report_points(num_train, epochs, batch_size) == points


@pytest.mark.parametrize("change", [{}, {"ema_decay": 0.9}, {"augmentation": ("shift", "cutout")}], ids=str)
def test_a_report_changes_no_bit_of_what_is_learned(images, change):
    training, reports = replace(SGD, **change), list[PartialReport]()
    plain = trainer(images, training, model=network(dropout=0.3))
    telling = trainer(images, training, model=network(dropout=0.3), report_points=POINTS)
    assert learned(list(telling.run(on_report=reports.append))) == learned(list(plain.run()))
    weights = [trainer.evaluated.state_dict() for trainer in (plain, telling)]
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())
    assert [report.images_seen for report in reports] == [256, 320, 512]  # after the batch that has the 300th
    assert {report.val_images for report in reports} == {len(images.val)}


def test_a_report_is_the_accuracy_of_the_weights_at_that_moment(images):
    telling, found = trainer(images, SGD, report_points=POINTS[:1]), []

    def judge(report):
        _, accuracy = evaluate(telling.model, images, images.val, precision="fp32", batch_size=64)
        telling.model.train()
        found.append((report.val_accuracy, accuracy))

    list(telling.run(on_report=judge))
    ((told, judged),) = found
    assert told == judged > 0.1


@pytest.mark.parametrize("stop_at", [3, 5, 6])
def test_a_trial_that_goes_on_within_its_first_epoch_reports_as_one_that_was_not_stopped(images, stop_at):
    whole = trainer(images, SGD, report_points=POINTS)
    epochs = list(whole.run())
    first, asked = trainer(images, SGD, report_points=POINTS), iter(range(1000))
    assert list(first.run(lambda: next(asked) == stop_at)) == []
    rest = trainer(images, SGD, report_points=POINTS)
    rest.load_state_dict(first.state_dict())
    assert learned(list(rest.run())) == learned(epochs)
    assert rest.partial_reports == whole.partial_reports


def test_a_checkpoint_from_before_there_were_reports_is_gone_on_from(images):
    state = trainer(images, SGD).state_dict()
    del state["partial_reports"]
    rest = trainer(images, SGD, report_points=POINTS)
    rest.load_state_dict(state)
    assert len(list(rest.run())) == 2
    assert len(rest.partial_reports) == 3


def test_a_part_of_a_split_lies_evenly_in_it(images):
    model, most = network(), 100
    rows = torch.arange(most) * len(images.val) // most
    part = replace(images.val, images=images.val.images[rows], labels=images.val.labels[rows])
    options = {"precision": "fp32", "batch_size": 64}
    assert most < len(images.val) < ENOUGH
    whole = evaluate(model, images, images.val, **options)
    assert evaluate(model, images, images.val, most=most, **options) == evaluate(
        model, images, part, **options
    )
    assert evaluate(model, images, images.val, most=ENOUGH, **options) == whole
