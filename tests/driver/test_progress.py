"""How far a trial is inside an epoch: passed on, stored now and then, and nothing depends on it."""

import itertools

import pytest

from nas.engines.messages import Seen, Trained
from nas.events import EpochTrained, ImagesSeen, TrialEnded
from tests.scripted import ScriptedEngine, learns, make_driver, outcomes, run


@pytest.fixture(autouse=True)
def stored_at_once(monkeypatch):
    monkeypatch.setattr("nas.driver.progress.PERIOD", 0.0)


def seeing(*images):
    """Before each epoch, a trial says that it has seen so many images of 1,000."""

    def script(task):
        for message in learns(0.5, 0.6)(task):
            if isinstance(message, Trained):
                for seen in images:
                    yield Seen(number=task.number, epochs=message.epoch.number - 1, images=seen, of=1000)
            yield message

    return script


def test_it_is_told_to_watchers_between_the_epochs(make_store, mlp):
    events, _ = run(make_store(trials=1, epochs=2), mlp, seeing(250, 500))
    told = [event for event in events if isinstance(event, ImagesSeen | EpochTrained)]
    assert [each.part if isinstance(each, ImagesSeen) else each.epoch.number for each in told] == [
        *(0.25, 0.5, 1),
        *(0.25, 0.5, 2),
    ]
    assert told[3] == ImagesSeen(number=0, epochs=1, images=250, of=1000)


def test_it_is_stored_while_a_trial_runs(make_store, mlp):
    store, parts = make_store(trials=1, epochs=2), []
    for event in make_driver(store, mlp, ScriptedEngine(seeing(250, 500))).run():
        if isinstance(event, ImagesSeen | EpochTrained | TrialEnded):
            parts.append(store.trials()[0].part)
    assert parts == [0.25, 0.5, None, 0.25, 0.5, None, None]


def test_it_is_stored_no_more_often_than_every_other_second(make_store, mlp, monkeypatch):
    monkeypatch.setattr("nas.driver.progress.PERIOD", 60.0)
    store = make_store(trials=2, epochs=2)
    run(store, mlp, seeing(250, 500))
    assert [record.progress for record in store.trials()] == [None, None]


def test_the_same_is_decided_with_and_without_it(make_store, mlp):
    found = []
    for name, images in (("silent", ()), ("telling", (100, 900))):
        store = make_store(name, trials=6, epochs=2, pruner="median", sampler="tpe")
        run(store, mlp, seeing(*images))
        found.append([(record.params, record.outcome, record.value) for record in store.trials()])
    assert found[0] == found[1]


def test_a_worker_that_says_nothing_else_hangs(make_store, mlp, monkeypatch):
    monkeypatch.setattr("nas.driver.watchdog.BUILDING", 0.1)
    store, tries = make_store(trials=1, epochs=1), []

    def script(task):
        tries.append(task)
        return (
            learns(0.5)(task)
            if len(tries) > 1
            else itertools.repeat(Seen(number=0, epochs=0, images=1, of=2))
        )

    _, engine = run(store, mlp, script)
    assert set(engine.killed) == {0}
    assert outcomes(store) == ["completed"]
