"""What all figures share: one template, one colour for each outcome, and how a figure begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

import plotly.graph_objects as go

from nas.metrics.base import ACCURACY
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord

if TYPE_CHECKING:
    from nas.views.shown import Study

    Trials = Study | Sequence[TrialRecord]

T = TypeVar("T")

INK = "#767676"
"""Reads on light and on dark paper."""

GRID = "rgba(128, 128, 128, 0.22)"

BEST = "#e0782c"

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}

LABEL = 24
"""Letters."""

COLOURS = {
    Outcome.COMPLETED: "#3b8ec4",
    Outcome.PRUNED: "#9aa3ad",
    Outcome.DOES_NOT_FIT: "#a874ac",
    Outcome.DUPLICATE: "#b8a07a",
    Outcome.FAILED: "#cf4d3f",
    Outcome.INTERRUPTED: "#e3b13f",
    Outcome.RUNNING: "#2fa184",
    Outcome.WAITING: "#c5cad1",
}
"""Told apart by the colour-blind too; each figure names its outcomes besides."""

AXIS = {
    "gridcolor": GRID,
    "linecolor": GRID,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 12, "font": {"size": 13}},
}

ROWS = {"autorange": "reversed", "showgrid": False, "ticksuffix": "  "}
"""The axis of horizontal bars, the first on top."""

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, Segoe UI, sans-serif", "size": 13, "color": INK},
        "title": {"x": 0, "xref": "container", "pad": {"l": 12}, "font": {"size": 16}},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "margin": {"l": 12, "r": 16, "t": 48, "b": 12},
        "xaxis": AXIS,
        "yaxis": AXIS,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
        "barcornerradius": 3,
    }
)


def new_figure(title: str, x: str = "", y: str = "", height: int = 380) -> go.Figure:
    """An empty figure with its title and the titles of its axes."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": {"text": title}, "height": height})
    figure.update_xaxes(title={"text": x})
    figure.update_yaxes(title={"text": y})
    return figure


def summarised(figure: go.Figure, sentence: str) -> go.Figure:
    """The figure with what it says in one sentence, for those who cannot see it."""
    return figure.update_layout(meta={"summary": sentence})


def nothing_yet(figure: go.Figure, why: str) -> go.Figure:
    """The figure without axes, saying why there is nothing to see."""
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=why, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    return summarised(figure.update_layout(height=160), why)


def records_of(trials: Trials) -> Sequence[TrialRecord]:
    """The records of a study's trials, in the order of their numbers."""
    return trials if isinstance(trials, Sequence) else [trial.record for trial in trials.trials]


def metric_of(trials: Trials) -> str:
    """What their value is, in words."""
    return next((record.metric_in_words for record in records_of(trials)), ACCURACY)


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def with_gaps(lines: Iterable[Iterable[tuple[Any, ...]]]) -> Iterator[list[Any]]:
    """Points of many lines as columns of one line with gaps, which a browser draws far faster."""
    points = [point for line in lines for point in (*line, None)]
    width = max(len(point) for point in points if point)
    return (list(column) for column in zip(*(point or (None,) * width for point in points), strict=True))


def by_outcome(records: Iterable[TrialRecord]) -> dict[Outcome, list[TrialRecord]]:
    """The records of each outcome that there is, in the order of the outcomes."""
    found: dict[Outcome, list[TrialRecord]] = {outcome: [] for outcome in Outcome}
    for record in records:
        found[record.outcome].append(record)
    return {outcome: some for outcome, some in found.items() if some}


def add_bars(figure: go.Figure, values: Sequence[Any], labels: Sequence[str], **more: Any) -> None:
    """Bars from the first at the top to the last, each with its label before it and its text behind it."""
    figure.add_bar(x=values, y=labels, orientation="h", textposition="outside", cliponaxis=False, **more)
    figure.update_yaxes(ROWS)
    figure.update_xaxes(range=[0, 1.2 * max(values)])


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Fewer digits, which nobody would see: a page holds thousands of numbers."""
    return None if value is None else float(f"{value:.{digits}g}")


def faded(least: float, drawn: int) -> float:
    """Opacity of one of so many lines or points: the fewer, the stronger."""
    return round(min(0.8, max(least, 15 / max(1, drawn))), 2)


def unit_of(seconds: float) -> tuple[str, int]:
    """Name and seconds of the unit in which so long a time is shown."""
    return next((unit for unit in UNITS.items() if seconds / unit[1] < 180), ("hours", 3600))


def count_axis(last: int) -> dict[str, Any]:
    """An axis of whole numbers up to `last`."""
    return {"dtick": 1} if last <= 12 else {}


def dots(colour: str, size: float, **more: Any) -> dict[str, Any]:
    """How points are drawn."""
    return {"color": colour, "size": size, "line": {"width": 0}, **more}


def short(text: str) -> str:
    """A text that a label has room for, its middle left out if need be; markup stays text."""
    kept = text if len(text) <= LABEL else f"{text[: LABEL // 2]}…{text[1 - LABEL // 2 :]}"
    return escape(kept)
