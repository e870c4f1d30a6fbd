"""What is read once, and what is read again."""

from __future__ import annotations

from nas.study.database import open_database, storage_url
from nas.study.outcome import Outcome
from nas.views.dashboard.watched import Watched
from tests.views.dashboard.samples import Sample


def watched(sample: Sample) -> Watched:
    return Watched(open_database(storage_url(None, sample.folder), create=False), sample.folder, sample.name)


def test_trials_before_the_first_that_runs_are_read_once(own_sample: Sample) -> None:
    study = watched(own_sample).get(1)
    assert study is not None
    before = study.records()
    own_sample.train(3, 0.7)
    own_sample.complete(0.5)
    after = study.records()
    assert [record.number for record in after] == [0, 1, 2, 3, 4, 5]
    assert all(old is new for old, new in zip(before[:3], after[:3], strict=True))
    assert [len(record.epochs) for record in (before[3], after[3])] == [2, 3]


def test_a_trial_that_ends_is_seen(own_sample: Sample) -> None:
    study = watched(own_sample).get(1)
    assert study is not None
    assert study.records()[3].outcome is Outcome.RUNNING
    own_sample.end(3, Outcome.PRUNED, reason="flat: since epoch 1")
    assert [study.records()[3].outcome for _ in range(2)] == [Outcome.PRUNED] * 2
    assert study.records()[3] is study.records()[3]


def test_equal_proposals_share_their_layers(own_sample: Sample) -> None:
    study = watched(own_sample).get(1)
    assert study is not None
    record = study.records()[1]
    assert not study.knows_layers(record)
    assert study.layers(record) is study.layers(record)
    assert study.knows_layers(record)


def test_a_study_that_is_gone_is_not_shown(own_sample: Sample) -> None:
    studies = watched(own_sample)
    assert studies.get(1) is not None
    own_sample.storage.delete_study(1)
    assert studies.get(1) is None


def test_a_study_that_another_run_continues_shows_the_new_settings(own_sample: Sample) -> None:
    study = watched(own_sample).get(1)
    assert study is not None
    assert study.recipe.trials == 12
    own_sample.set_recipe(trials=40)
    assert study.recipe.trials == 40
