"""What a better value costs: the size of networks against what they reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

import nas.views.figures.theme as theme
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.views.figures.theme import BEST, COLOURS

if TYPE_CHECKING:
    from nas.views.figures.theme import Trials

LOG_TICKS = [step * 10**power for power in range(2, 11) for step in (1, 2, 5)]


def accuracy_against_parameters(trials: Trials) -> go.Figure:
    """Completed trials, with the Pareto front: networks that no smaller one matches."""
    metric = theme.metric_of(trials)
    title = f"{metric[0].upper()}{metric[1:]} against parameters"
    figure = theme.new_figure(title, "parameters", f"validation {metric}")
    records = [
        record
        for record in theme.records_of(trials)
        if record.outcome is Outcome.COMPLETED and record.num_parameters
    ]
    if not records:
        return theme.nothing_yet(figure, "No trial is completed yet.")
    front = pareto_front(records)
    figure.add_scatter(
        **_points(records),
        mode="markers",
        name="completed",
        marker=theme.dots(COLOURS[Outcome.COMPLETED], 6, opacity=0.55),
    )
    figure.add_scatter(
        **_points(front),
        mode="lines+markers",
        name="Pareto front",
        line={"color": BEST, "width": 2, "shape": "hv"},
        marker=theme.dots(BEST, 7),
    )
    figure.update_xaxes(type="log", tickvals=LOG_TICKS, tickformat="~s")
    return theme.summarised(
        figure,
        f"{len(front)} of {len(records):,} networks lie on the Pareto front, from"
        f" {front[0].num_parameters:,} parameters at {front[0].value:.4f} to {front[-1].num_parameters:,}"
        f" at {front[-1].value:.4f}.",
    )


def pareto_front(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The completed trials that none with as few parameters matches, the smallest first."""
    front: list[TrialRecord] = []
    sized = [record for record in records if record.value is not None and record.num_parameters]
    for record in sorted(sized, key=lambda record: (record.num_parameters or 0, -(record.value or 0.0))):
        if not front or (record.value or 0.0) > (front[-1].value or 0.0):
            front.append(record)
    return front


def _points(records: Sequence[TrialRecord]) -> dict[str, object]:
    return {
        "x": [record.num_parameters for record in records],
        "y": [theme.rounded(record.value) for record in records],
        "customdata": [record.number for record in records],
        "hovertemplate": "trial %{customdata}: %{y:.4f}, %{x:,} parameters<extra></extra>",
    }
