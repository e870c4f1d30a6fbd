"""What the search took: the time of workers, and memory as predicted and as measured."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING

import plotly.graph_objects as go

import nas.views.figures.theme as theme
from nas.study.spending import working_time
from nas.views.figures.theme import COLOURS

if TYPE_CHECKING:
    from nas.views.figures.theme import Trials


def timeline(trials: Trials) -> go.Figure:
    """What each worker did when; pauses between runs are left out."""
    records = [record for record in theme.records_of(trials) if record.started_at is not None]
    workers = sorted({record.worker or 0 for record in records})
    figure = theme.new_figure("Timeline", height=150 + 44 * max(1, len(workers)))
    if not records:
        return theme.nothing_yet(figure, "No trial has started yet.")
    spans, pauses = working_time(records)
    total = max(end for _, end in spans.values())
    unit, size = theme.unit_of(total)
    for outcome, some in theme.by_outcome(records).items():
        figure.add_bar(
            base=[theme.rounded(spans[record.number][0] / size, 6) for record in some],
            x=[theme.rounded((spans[r.number][1] - spans[r.number][0]) / size) for r in some],
            y=[f"worker {record.worker or 0}" for record in some],
            customdata=[record.number for record in some],
            orientation="h",
            name=outcome.in_words,
            marker={"color": COLOURS[outcome], "line": {"width": 0.4, "color": "rgba(255,255,255,0.7)"}},
            hovertemplate=f"trial %{{customdata}}: %{{x:.3g}} {unit}<extra></extra>",
        )
    for pause in pauses:
        figure.add_vline(pause / size, line={"color": theme.INK, "width": 1, "dash": "dot"})
    figure.update_layout(barmode="overlay", bargap=0.3)
    figure.update_xaxes(title={"text": f"{unit} of search"})
    figure.update_yaxes(theme.ROWS, categoryarray=[f"worker {worker}" for worker in workers])
    on = f"{len(workers)} workers" if len(workers) > 1 else "one worker"
    return theme.summarised(figure, f"{len(records):,} trials in {total / size:.3g} {unit} on {on}.")


def memory(trials: Trials) -> go.Figure:
    """Peak memory of each trial as predicted before it was trained, and as measured."""
    sizes = {r.number: (r.predicted_peak or 0, r.measured_peak or 0) for r in theme.records_of(trials)}
    large = max(map(max, sizes.values()), default=0) >= 2**30
    return _predicted_and_measured(
        trials, "Memory", "peak memory", sizes, ("GiB", 2**30) if large else ("MiB", 2**20)
    )


def seconds(trials: Trials) -> go.Figure:
    """Seconds of an epoch of each trial as predicted before it was trained, and as measured."""
    pairs = {r.number: (r.predicted_seconds or 0, r.measured_seconds or 0) for r in theme.records_of(trials)}
    return _predicted_and_measured(trials, "Seconds", "seconds of an epoch", pairs, ("s", 1))


def _predicted_and_measured(
    trials: Trials, title: str, what: str, pairs: Mapping[int, tuple[float, float]], unit: tuple[str, int]
) -> go.Figure:
    """A dot for each trial, beside the line on which it would lie as predicted.

    Args:
        pairs: predicted and measured, by number of the trial; 0 is unknown.
        unit: its name and size.
    """
    figure = theme.new_figure(title, height=420)
    records = [record for record in theme.records_of(trials) if all(pairs[record.number])]
    if not records:
        return theme.nothing_yet(figure, "No trial was both predicted and measured yet.")
    name, size = unit
    most = 1.05 * max(max(pairs[record.number]) for record in records) / size
    figure.add_scatter(
        x=[0, most],
        y=[0, most],
        mode="lines",
        name="as predicted",
        line={"color": theme.INK, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    for outcome, some in theme.by_outcome(records).items():
        figure.add_scatter(
            x=[theme.rounded(pairs[record.number][0] / size) for record in some],
            y=[theme.rounded(pairs[record.number][1] / size) for record in some],
            customdata=[record.number for record in some],
            mode="markers",
            name=outcome.in_words,
            marker=theme.dots(COLOURS[outcome], 6, opacity=0.7),
            hovertemplate=f"trial %{{customdata}}: predicted %{{x}}, measured %{{y}} {name}<extra></extra>",
        )
    figure.update_xaxes(title={"text": f"predicted, {name}"}, rangemode="tozero")
    figure.update_yaxes(title={"text": f"measured, {name}"}, rangemode="tozero")
    errors = (abs(measured / predicted - 1) for predicted, measured in (pairs[r.number] for r in records))
    error = median(errors)
    return theme.summarised(
        figure,
        f"Median difference of measured from predicted {what}: {error:.1%} of {len(records):,} trials.",
    )
