"""Baselines: trained beside a search, with the same data, epochs and memory cap, to compare with."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

import nas
from nas.engines.messages import Message, Task
from nas.errors import InvalidSetting, StudyError
from nas.events import EpochTrained, Event, Notice, OfBaseline, SearchEnded, TrialEnded, TrialStarted
from nas.study.outcome import Outcome
from tests.scripted import ScriptedEngine, learns
from tests.scripted import epoch as trained

SPACE = """
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Plain:
    def build(self, data):
        {body}

def suggest(trial, data):
    return Proposal(Plain(), Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
"""

LINEAR = "return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
HUGE = "return nn.Sequential(nn.Flatten(), nn.Linear(64, 2**20), nn.Linear(2**20, 10))"
BROKEN = "raise ValueError('no such luck')"

STOPPING = """
        class Stopping(nn.Linear):
            forwards = 0
            def forward(self, images):
                import os, pathlib, signal, sys
                self.forwards += 1
                marker = pathlib.Path("{marker}")
                if self.forwards == 100 and "nas.engines.worker" in sys.orig_argv and not marker.exists():
                    marker.touch()
                    os.kill(os.getppid(), signal.SIGINT)
                return super().forward(images)
        return nn.Sequential(nn.Flatten(), Stopping(64, 10))
"""
"""Once, it sends the driver Ctrl-C in the midst of an epoch that is not its first."""

Search = Callable[..., nas.Study]


class Said(list[Event]):
    """What a search tells."""

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self if isinstance(event, Notice)]


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def search(tmp_path: Path, said: Said) -> Search:
    """One tiny trial on the digits, with whatever else is asked for."""

    def search(**settings: Any) -> nas.Study:
        tiny = {"study": "study", "space": "mlp", "trials": 1, "epochs": 1, "pruner": "none"}
        here = {"workers": 1, "threads": 1, "device": "cpu", "folder": tmp_path, "watch": said.append}
        return nas.search(**{**tiny, **here, **settings})

    return search


def baseline(folder: Path, body: str = LINEAR, name: str = "plain.py") -> str:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(SPACE.format(body=body))
    return str(file)


def shown(study: nas.Study) -> list[str]:
    return [each["name"] for each in study.to_json()["baselines"]]


def test_a_baseline_is_trained_once_and_shown_beside_the_random_start(search, said, tmp_path):
    study = search(baseline=[baseline(tmp_path)])
    linear, start = study.to_json()["baselines"]
    assert (linear["name"], linear["num_parameters"], linear["trials"]) == ("plain", 650, 1)
    assert 0.5 < linear["value"] < 1
    assert start["name"] == "best of the random start (trial 0)"
    assert (start["value"], start["trials"]) == (study.best.value, 1)
    assert study.baselines["plain"].value == linear["value"]
    assert said.notices == [f"Baseline plain: validation accuracy {linear['value']:.4f}"]
    assert [trial.number for trial in study.trials] == [0], "it is no trial of the study"
    assert nas.load_study(folder=tmp_path).name == "study", "nor a study that anybody looks for"

    said.clear()
    study = search(trials=2)  # which leaves the baselines as they were asked for
    assert not said.notices
    assert study.to_json()["baselines"][0] == linear


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    ("body", "message", "again"),
    [
        (BROKEN, "failed, ", 1),
        (HUGE, "does not fit, needs ", 0),
    ],
)
def test_a_baseline_that_comes_to_nothing_is_one_notice_and_the_search_goes_on(
    search, said, tmp_path, body, message, again
):
    settings = {"baseline": [baseline(tmp_path, body)], "memory_cap": "100MiB"}
    study = search(**settings)
    (notice,) = said.notices
    assert notice.startswith(f"Baseline plain: {message}")
    assert study.best
    assert study.to_json()["baselines"][0] == {
        "name": "plain",
        "value": None,
        "num_parameters": None,
        "trials": 1,
    }
    said.clear()
    search(**settings)
    assert len(said.notices) == again, "what failed is tried again once at every run"


@pytest.mark.usefixtures("scripted")
def test_a_baseline_is_what_was_trained_where_settings_of_training_are_fixed(search, tmp_path):
    study = search(baseline=[baseline(tmp_path)], class_weights="balanced", training={"batch_size": 16})
    (companion,) = study.baselines.values()
    assert companion.proposal.training.batch_size == 16
    assert companion.proposal.training.class_weights == "balanced"
    assert companion.proposal.digest == companion.record.digest


def test_a_baseline_that_has_changed_since_it_was_trained_is_refused(search, tmp_path):
    settings = {"baseline": [baseline(tmp_path)]}
    search(**settings)
    file = Path(settings["baseline"][0])
    file.write_text(file.read_text().replace("batch_size=32", "batch_size=64"))
    with pytest.raises(StudyError, match="Baseline 'plain' has changed since it was trained beside 'study'"):
        search(**settings)


@pytest.mark.usefixtures("scripted")
def test_a_baseline_that_was_interrupted_and_failed_then_is_tried_again_at_every_run(search, said, tmp_path):
    settings = {"baseline": [baseline(tmp_path, BROKEN)]}
    (companion,) = search(**settings).store.companions()
    companion.optuna_study.enqueue_trial({})
    companion.optuna_study.ask()  # and the driver is killed
    for _ in range(2):
        said.clear()
        search(**settings)
        assert len(said.notices) == 1
    outcomes = [record.outcome for record in companion.trials()]
    assert outcomes == [Outcome.FAILED, Outcome.INTERRUPTED, Outcome.FAILED, Outcome.FAILED]


@pytest.mark.usefixtures("scripted")
def test_what_happens_to_a_baseline_is_told_but_not_as_of_a_trial(search, said, tmp_path):
    search(baseline=[baseline(tmp_path)], epochs=2)
    first = said.index(next(event for event in said if isinstance(event, TrialStarted)))
    told = [event for event in said if isinstance(event, OfBaseline)]
    assert [type(event.event) for event in told] == [TrialStarted, EpochTrained, EpochTrained, TrialEnded]
    assert {event.name for event in told} == {"plain"}
    assert not [event for event in said[:first] if isinstance(event, EpochTrained | TrialEnded)]
    assert sum(isinstance(event, TrialEnded) for event in said) == 1


def test_the_time_limit_of_a_run_holds_for_its_baselines_too(search, said, tmp_path, monkeypatch):
    later = [0.0]
    for module in ("run", "driver", "ending"):
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0])
        monkeypatch.setattr(f"nas.driver.{module}.time", clock)

    def watch(event: Event) -> None:
        said.append(event)
        if isinstance(event, OfBaseline) and isinstance(event.event, EpochTrained):
            later[0] += 3600.0

    def hangs(task: Task) -> Iterator[Message]:
        yield trained(task.number, 1)

    settings = {"baseline": [baseline(tmp_path)], "epochs": 2, "watch": watch}
    monkeypatch.setattr("nas.engines.kinds.local.LocalEngine", lambda *_: ScriptedEngine(hangs))
    study = search(**settings, time_limit=1800)
    assert said[-1] == SearchEnded(why="time")
    assert [trial.record.outcome for trial in study.trials] == [Outcome.WAITING], "no time was left"
    monkeypatch.setattr("nas.engines.kinds.local.LocalEngine", lambda *_: ScriptedEngine(learns(0.5, 0.6)))
    assert search(**settings).best
    (companion,) = study.store.companions()
    assert [record.outcome for record in companion.trials()] == [Outcome.INTERRUPTED, Outcome.COMPLETED]


@pytest.mark.slow
@pytest.mark.usefixtures("own_sigint")
def test_a_baseline_that_is_interrupted_goes_on_where_it_was(search, said, tmp_path):
    settings = {"baseline": [baseline(tmp_path, STOPPING.format(marker=tmp_path / "stopped"))], "epochs": 40}
    study = search(**settings)
    assert said[-1] == SearchEnded(why="stopped")
    assert [trial.record.outcome for trial in study.trials] == [Outcome.WAITING], "nothing was searched yet"
    (notice,) = said.notices
    assert notice == "Baseline plain: interrupted, the search stopped"

    study = search(**settings)
    assert len(said.notices) == 2
    assert shown(study)[0] == "plain"
    (companion,) = study.store.companions()
    first, second = companion.trials()
    assert (first.outcome, second.outcome) == (Outcome.INTERRUPTED, Outcome.COMPLETED)
    assert 0 < len(first.epochs) < 40
    assert second.epochs[: len(first.epochs)] == first.epochs, "to the second: they were not trained again"
    assert [epoch.number for epoch in second.epochs] == [*range(1, 41)]


@pytest.mark.usefixtures("scripted")
def test_a_study_that_was_deleted_is_made_again_with_its_baseline(search, said, tmp_path):
    settings = {"baseline": [baseline(tmp_path)]}
    storage = search(**settings).store.storage
    optuna.delete_study(study_name="study", storage=storage)
    study = search(**settings)
    assert len(said.notices) == 2, "trained again: it is that of another study"
    assert shown(study) == ["plain", "best of the random start (trial 0)"]


@pytest.mark.usefixtures("scripted")
def test_a_baseline_that_was_deleted_is_not_shown_and_is_trained_again(search, said, tmp_path):
    settings = {"baseline": [baseline(tmp_path)]}
    study = search(**settings)
    (companion,) = study.store.companions()
    optuna.delete_study(study_name=companion.name, storage=study.store.storage)
    assert shown(study) == ["best of the random start (trial 0)"]
    study = search(**settings)
    assert len(said.notices) == 2
    assert shown(study)[0] == "plain"


def test_two_baselines_of_one_name_are_refused_before_there_is_a_study(search, tmp_path):
    both = [baseline(tmp_path, name=f"{folder}/net.py") for folder in ("a", "b")]
    with pytest.raises(InvalidSetting, match="Two baselines are called 'net'"):
        search(baseline=both)
    with pytest.raises(nas.NasError):
        nas.load_study("study", folder=tmp_path)


@pytest.mark.usefixtures("scripted")
def test_the_baselines_of_a_study_are_taken_away_by_asking_for_none(search, said, tmp_path):
    search(baseline=[baseline(tmp_path, BROKEN)])
    said.clear()
    study = search(baseline="none", trials=2)
    assert study.store.recipe.baseline == ()
    search(trials=3)
    assert not said.notices, "what failed was not tried again"
