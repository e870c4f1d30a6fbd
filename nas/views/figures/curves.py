"""How the search went on: the best so far, and the learning curve of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import plotly.graph_objects as go

import nas.views.figures.theme as theme
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of
from nas.study.spending import best_so_far, working_time
from nas.views.figures.theme import BEST, COLOURS

if TYPE_CHECKING:
    from nas.views.figures.theme import Trials

CURVES = 60
"""Of more trials with the same outcome so many are drawn: the best, and some from the whole range."""

POINTS = 80
"""Of a longer curve, so many epochs are drawn."""


def history(trials: Trials) -> go.Figure:
    """The value of each trial, in the order of their numbers, and the best so far."""
    figure = theme.new_figure("History", "trial", f"validation {theme.metric_of(trials)}")
    records = theme.records_of(trials)
    best = best_of(records)
    if best is None:
        return theme.nothing_yet(figure, "No trial is completed yet.")
    shown = {
        Outcome.PRUNED: [r for r in records if r.outcome is Outcome.PRUNED and r.epochs],
        Outcome.COMPLETED: [r for r in records if r.outcome is Outcome.COMPLETED],
    }
    for outcome, some in shown.items():
        pruned = outcome is Outcome.PRUNED
        figure.add_scatter(
            x=[record.number for record in some],
            y=[theme.rounded(record.epochs[-1].value if pruned else record.value) for record in some],
            customdata=[len(record.epochs) for record in some] if pruned else None,
            mode="markers",
            name="pruned, when it ended" if pruned else "completed",
            marker=theme.dots(
                COLOURS[outcome], 5 if pruned else 6, opacity=theme.faded(0.45 if pruned else 0.7, len(some))
            ),
            hovertemplate="trial %{x}: %{y:.4f}"
            + (" after epoch %{customdata}" if pruned else "")
            + "<extra></extra>",
        )
    figure.update_xaxes(theme.count_axis(records[-1].number))
    completed = shown[Outcome.COMPLETED]
    figure.add_scatter(
        x=[*(record.number for record in completed), records[-1].number],
        y=[*accumulate((theme.rounded(record.value) or 0.0 for record in completed), max), best.value],
        mode="lines",
        name="best so far",
        line={"color": BEST, "width": 2, "shape": "hv"},
        hovertemplate="best up to trial %{x}: %{y:.4f}<extra></extra>",
    )
    return theme.summarised(
        figure,
        f"The best of {len(completed):,} completed trials is trial {best.number},"
        f" with a validation {best.metric_in_words} of {best.value:.4f}.",
    )


def history_by_time(trials: Trials) -> go.Figure:
    """The best so far after so many seconds of search; pauses between runs are left out."""
    figure = theme.new_figure("History by time", y=f"validation {theme.metric_of(trials)}")
    records = theme.records_of(trials)
    steps = best_so_far(records)
    if not steps:
        none = best_of(records) is None
        why = "No trial is completed yet." if none else "When trials were trained was not stored."
        return theme.nothing_yet(figure, why)
    spans, _ = working_time([record for record in records if record.started_at is not None])
    end = max(end for _, end in spans.values())
    unit, size = theme.unit_of(end)
    completed = [r for r in records if r.outcome is Outcome.COMPLETED and r.number in spans]
    figure.add_scatter(
        x=[theme.rounded(spans[record.number][1] / size) for record in completed],
        y=[theme.rounded(record.value) for record in completed],
        customdata=[record.number for record in completed],
        mode="markers",
        name="completed",
        marker=theme.dots(COLOURS[Outcome.COMPLETED], 6, opacity=theme.faded(0.7, len(completed))),
        hovertemplate=f"trial %{{customdata}}: %{{y:.4f}} after %{{x}} {unit}<extra></extra>",
    )
    figure.add_scatter(
        x=[theme.rounded(seconds / size) for seconds in (*(step.seconds for step in steps), end)],
        y=[theme.rounded(value) for value in (*(step.value for step in steps), steps[-1].value)],
        mode="lines",
        name="best so far",
        line={"color": BEST, "width": 2, "shape": "hv"},
        hovertemplate=f"best after %{{x}} {unit}: %{{y:.4f}}<extra></extra>",
    )
    figure.update_xaxes(title={"text": f"{unit} of search"}, rangemode="tozero")
    return theme.summarised(
        figure,
        f"{steps[0].value:.4f} after {steps[0].seconds / size:.3g} {unit},"
        f" {steps[-1].value:.4f} after {steps[-1].seconds / size:.3g} of {end / size:.3g} {unit} of search.",
    )


def learning_curves(trials: Trials) -> go.Figure:
    """The metric by epoch: pruned trials faded, the best one in front; of many, some."""
    figure = theme.new_figure("Learning curves", "epoch", f"validation {theme.metric_of(trials)}")
    records = [record for record in theme.records_of(trials) if record.epochs]
    if not records:
        return theme.nothing_yet(figure, "No epoch is trained yet.")
    best = best_of(records)
    for outcome in (Outcome.PRUNED, Outcome.INTERRUPTED, Outcome.FAILED, Outcome.COMPLETED, Outcome.RUNNING):
        some = [record for record in records if record.outcome is outcome]
        drawn = _a_choice(some)
        of = "" if len(drawn) == len(some) else f" ({len(drawn)} of {len(some):,})"
        if some:
            least = 0.5 if outcome in (Outcome.COMPLETED, Outcome.RUNNING) else 0.3
            opacity = theme.faded(least, len(drawn))
            _add_curves(figure, drawn, f"{outcome.in_words}{of}", COLOURS[outcome], 1, opacity)
    if best is not None:
        _add_curves(figure, [best], f"best: trial {best.number}", BEST, 2.5, 1.0)
    figure.update_xaxes(theme.count_axis(max(record.epochs[-1].number for record in records)))
    pruned = sum(record.outcome is Outcome.PRUNED for record in records)
    return theme.summarised(
        figure,
        f"{len(records):,} trials were trained for at least one epoch; {pruned:,} of them were pruned.",
    )


def _a_choice(records: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
    if len(records) <= CURVES:
        return records
    ranked = sorted(records, key=lambda record: -max(epoch.value or 0.0 for epoch in record.epochs))
    return [*ranked[: CURVES // 2], *theme.evenly(ranked[CURVES // 2 :], CURVES - CURVES // 2)]


def _add_curves(
    figure: go.Figure, records: Sequence[TrialRecord], name: str, colour: str, width: float, opacity: float
) -> None:
    xs, ys, numbers = theme.with_gaps(
        [
            (epoch.number, theme.rounded(epoch.value), record.number)
            for epoch in theme.evenly(record.epochs, POINTS)
        ]
        for record in records
    )
    figure.add_scatter(
        x=xs,
        y=ys,
        customdata=numbers,
        mode="lines+markers" if all(len(record.epochs) == 1 for record in records) else "lines",
        name=name,
        line={"color": colour, "width": width},
        opacity=opacity,
        hovertemplate="trial %{customdata}, epoch %{x}: %{y:.4f}<extra></extra>",
    )
