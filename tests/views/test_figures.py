"""Figures of a study: complete, small, and never an error, however little there is to show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nas.views.figures as figures
from nas.api.study import Study
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of
from nas.training.epoch import Epoch
from nas.views.figures.accuracy import pareto_front
from tests.views.report.samples import START, sample_study

NAMES = sorted(figures.__all__)

OF_RECORDS = sorted(set(NAMES) - {"importances"})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return sample_study(tmp_path_factory.mktemp("studies"), 150)


@pytest.fixture(scope="module")
def records(study: Study) -> list[TrialRecord]:
    return [trial.record for trial in study.trials]


def trial(number: int, value: float | None = None, **facts: Any) -> TrialRecord:
    outcome = Outcome.PRUNED if value is None else Outcome.COMPLETED
    known: dict[str, Any] = {"number": number, "outcome": outcome, "params": {}, "value": value}
    return TrialRecord(**known | facts)


def epoch(
    number: int, accuracy: float | None, allocated: int | None = None, reserved: int | None = None
) -> Epoch:
    return Epoch(
        number=number,
        train_loss=1.0,
        val_loss=1.0,
        val_accuracy=accuracy,  # type: ignore[arg-type]
        learning_rate=0.1,
        seconds=1.0,
        images_per_second=1.0,
        peak_allocated=allocated,
        peak_reserved=reserved,
        peak_resident=None,
    )


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data if trace.name}


@pytest.mark.parametrize("name", NAMES)
def test_a_study_gives_a_figure_with_a_title_and_a_sentence(study: Study, name: str) -> None:
    figure = getattr(figures, name)(study)
    assert figure.layout.title.text
    assert figure.layout.meta["summary"].endswith(".")
    assert figure.data


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_study_gives_a_figure_that_says_so(tmp_path: Path, name: str) -> None:
    figure = getattr(figures, name)(sample_study(tmp_path, 0))
    assert not figure.data
    assert figure.layout.annotations[0].text == figure.layout.meta["summary"]


@pytest.mark.parametrize("name", OF_RECORDS)
def test_records_give_the_same_figure_as_their_study(
    study: Study, records: list[TrialRecord], name: str
) -> None:
    make = getattr(figures, name)
    assert make(records).to_json() == make(study).to_json()


@pytest.mark.parametrize("name", OF_RECORDS)
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(trial(0), id="nothing known"),
        pytest.param(trial(0, 0.5), id="completed by other hands"),
        pytest.param(trial(0, 0.5, epochs=(epoch(1, None),), params={"a": None}), id="accuracy not finite"),
        pytest.param(trial(0, started_at=START, outcome=Outcome.RUNNING), id="still running"),
        pytest.param(trial(0, 0.5, num_parameters=0, predicted=0, epochs=(epoch(1, 0.5, 0, 0),)), id="zeros"),
        pytest.param(trial(0, reason="x" * 999, outcome=Outcome.FAILED), id="a long reason"),
    ],
)
def test_missing_facts_are_no_error(name: str, odd: TrialRecord) -> None:
    json.loads(getattr(figures, name)([odd]).to_json())


@pytest.mark.parametrize("name", OF_RECORDS)
def test_figures_of_many_trials_stay_small(records: list[TrialRecord], name: str) -> None:
    many = [replace(record, number=number) for number, record in enumerate(records * 14)]
    assert len(getattr(figures, name)(many).to_json()) < 200_000


def test_history_shows_each_completed_trial_and_the_best_so_far() -> None:
    shown = traces(figures.history([trial(0, 0.5), trial(1), trial(2, 0.4), trial(3, 0.75), trial(4)]))
    assert list(shown["completed"].x) == [0, 2, 3]
    assert list(shown["completed"].y) == [0.5, 0.4, 0.75]
    assert list(zip(shown["best so far"].x, shown["best so far"].y, strict=True)) == [
        *[(0, 0.5), (2, 0.5), (3, 0.75), (4, 0.75)]
    ]


def test_learning_curves_fade_pruned_trials_and_lift_the_best(records: list[TrialRecord]) -> None:
    shown = traces(figures.learning_curves(records))
    best = best_of(records)
    assert best is not None
    front = shown[f"best: trial {best.number}"]
    assert [y for y in front.y if y is not None] == [float(f"{e.val_accuracy:.4g}") for e in best.epochs]
    pruned = next(trace for name, trace in shown.items() if name.startswith("pruned"))
    assert pruned.opacity < shown["completed"].opacity < front.opacity
    assert figures.learning_curves(records).data[-1].name == front.name


def test_learning_curves_of_many_trials_say_how_many_are_drawn(records: list[TrialRecord]) -> None:
    many = sum(record.outcome is Outcome.PRUNED for record in records)
    assert f"pruned (60 of {many})" in traces(figures.learning_curves(records))


def test_the_pareto_front_holds_what_no_smaller_network_matches() -> None:
    sizes = [(100, 0.5), (200, 0.4), (300, 0.7), (300, 0.6), (400, 0.7), (500, 0.9)]
    records = [trial(number, value, num_parameters=size) for number, (size, value) in enumerate(sizes)]
    assert [record.number for record in pareto_front(records)] == [0, 2, 5]


def test_importances_are_those_of_pedanova(study: Study) -> None:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(study.store.optuna_study, evaluator=PedAnovaImportanceEvaluator())
    first = next(iter(found))
    bars = figures.importances(study).data[0]
    assert (bars.y[0], bars.x[0]) == (first, float(f"{found[first]:.4g}"))


def test_parallel_coordinates_show_the_parameters_that_are_asked_for(records: list[TrialRecord]) -> None:
    figure = figures.parallel_coordinates(records, ["kernel_size", "no such parameter", "downsampling"])
    assert [name.replace("<br>", "") for name in figure.layout.xaxis.ticktext] == [
        *["kernel_size", "downsampling", "accuracy"]
    ]


def test_parallel_coordinates_tell_of_a_parameter_that_a_trial_does_not_have() -> None:
    records = [trial(0, 0.5, params={"rate": 0.1}), trial(1, 0.6, params={"rate": 0.2}), trial(2, 0.7)]
    figure = figures.parallel_coordinates(records)
    assert "none" in figure.data[-2].text
    assert "trial 2: None" in traces(figure)["best: trial 2"].text


def test_the_timeline_has_a_bar_for_each_trial_on_its_worker(records: list[TrialRecord]) -> None:
    figure = figures.timeline(records)
    assert sum(len(trace.x) for trace in figure.data) == len(records)
    assert {row for trace in figure.data for row in trace.y} == {"worker 0", "worker 1", "worker 2"}


def test_the_timeline_leaves_out_a_pause_between_two_runs() -> None:
    times = [(0, 60), (60, 120), (86400, 86460)]
    records = [
        trial(number, started_at=START + timedelta(seconds=start), finished_at=START + timedelta(seconds=end))
        for number, (start, end) in enumerate(times)
    ]
    figure = figures.timeline(records)
    assert list(figure.data[0].base) == [0, 1, 2]
    assert [shape.x0 for shape in figure.layout.shapes] == [2]


@pytest.mark.parametrize(
    ("facts", "measured"),
    [
        ({"epochs": (epoch(1, 0.5, allocated=70), epoch(2, 0.5, allocated=90))}, 90),
        ({"epochs": (epoch(1, 0.5, allocated=30, reserved=40),)}, 40),
        ({"epochs": (epoch(1, 0.5),)}, None),
        ({}, None),
    ],
)
def test_measured_memory_is_what_the_prediction_speaks_of(
    facts: dict[str, Any], measured: int | None
) -> None:
    assert trial(0, **facts).measured_peak == measured


def test_memory_compares_prediction_and_measurement() -> None:
    parts = {"activations": 2**30, "workspace": 5, "context": 7}
    record = trial(0, 0.5, predicted_memory=parts, epochs=(epoch(1, 0.5, allocated=2**29),))
    points = traces(figures.memory([record]))["completed"]
    assert (list(points.x), list(points.y)) == ([1.0], [0.5])


def test_history_by_time_shows_the_best_after_so_many_seconds_without_pauses_between_runs() -> None:
    def timed(number: int, begins: float, value: float | None = None) -> TrialRecord:
        begun = START + timedelta(seconds=begins)
        return trial(number, value, started_at=begun, finished_at=begun + timedelta(seconds=10))

    shown = traces(figures.history_by_time([timed(0, 0, 0.5), timed(1, 10), timed(2, 4000, 0.75)]))
    assert (list(shown["best so far"].x), list(shown["best so far"].y)) == ([10, 30, 30], [0.5, 0.75, 0.75])
    assert list(shown["completed"].customdata) == [0, 2]


def test_history_by_time_of_trials_without_times_says_so() -> None:
    figure = figures.history_by_time([trial(0, 0.5)])
    assert figure.layout.meta["summary"] == "When trials were trained was not stored."


def test_outcomes_are_counted_by_reason_without_its_particulars() -> None:
    reasons = ["pruner: 0.1 after epoch 2", "pruner: 0.2 after epoch 3", "diverged: the loss is nan", None]
    bars = figures.outcomes([trial(number, reason=reason) for number, reason in enumerate(reasons)]).data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == {"pruned: pruner": 2, "pruned: diverged": 1, "pruned": 1}


@pytest.mark.parametrize("name", OF_RECORDS)
def test_markup_in_names_and_reasons_stays_text(name: str) -> None:
    hostile = "<b>x</b><a href='javascript:alert(1)'>y</a>"
    make: Callable[..., Any] = getattr(figures, name)
    records = [
        trial(
            number, value, params={hostile: number, "choice": f"{hostile}{number}"}, epochs=(epoch(1, 0.5),)
        )
        for number, value in enumerate((0.5, 0.6, 0.7))
    ]
    figure = make([*records, trial(3, reason=hostile, outcome=Outcome.FAILED)])
    figure.update_layout(meta=None)
    assert "<b>" not in figure.to_json().replace("\\u003c", "<")
