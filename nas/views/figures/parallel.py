"""Which values the best trials have: parallel coordinates, drawn with plain lines that any browser prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

import nas.views.figures.theme as theme
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of
from nas.views.figures.theme import BEST, COLOURS

if TYPE_CHECKING:
    from nas.views.figures.theme import Trials

AXES = 8
LINES = 300
"""The most parameters and trials that are drawn."""

COLUMN = 11
"""Letters of a line of a parameter's name."""

NONE = -0.18
"""Where a line crosses the axis of a parameter that its trial does not have."""


def parallel_coordinates(trials: Trials, parameters: Sequence[str] | None = None) -> go.Figure:
    """One line through the values of each completed trial, the best tenth in front.

    Args:
        parameters: which to show, in this order; the first few that vary if None.
    """
    figure = theme.new_figure("Parallel coordinates", height=440)
    completed = [record for record in theme.records_of(trials) if record.outcome is Outcome.COMPLETED]
    names = _varying(completed, parameters)[:AXES]
    best = best_of(completed)
    if best is None or not names:
        return theme.nothing_yet(figure, "No two completed trials differ yet.")
    axes = [Axis(theme.short(name), [record.params.get(name) for record in completed]) for name in names]
    axes.append(Axis(best.metric_in_words, [record.value for record in completed]))
    ranked = sorted(range(len(completed)), key=lambda place: -(completed[place].value or 0.0))
    tenth, half = math.ceil(len(ranked) / 10), math.ceil(len(ranked) / 2)
    for name, places, colour, width, opacity in (
        ("lower half", theme.evenly(ranked[half:], LINES // 2), COLOURS[Outcome.PRUNED], 1, 0.3),
        ("upper half", theme.evenly(ranked[tenth:half], LINES // 3), COLOURS[Outcome.COMPLETED], 1, 0.45),
        ("best tenth", theme.evenly(ranked[1:tenth], LINES // 6), BEST, 1, 0.6),
        (f"best: trial {best.number}", ranked[:1], BEST, 3, 1),
    ):
        if places:
            xs, ys, words = theme.with_gaps(_line(axes, place, completed[place].number) for place in places)
            figure.add_scatter(
                x=xs,
                y=ys,
                text=words,
                mode="lines",
                name=name,
                line={"color": colour, "width": width},
                opacity=theme.faded(opacity, len(places)) if opacity < 1 else 1,
                hovertemplate="%{text}<extra></extra>",
            )
    for x, axis in enumerate(axes):
        figure.add_vline(x, line={"color": theme.GRID, "width": 1})
        figure.add_scatter(
            x=[x] * len(axis.ticks),
            y=[y for y, _ in axis.ticks],
            text=[text for _, text in axis.ticks],
            mode="text",
            textposition=axis.beside,
            textfont={"size": 11},
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[_wrapped(axis.name) for axis in axes],
        showgrid=False,
        tickangle=0,
        tickfont={"size": 11},
        range=[-0.5, len(axes) - 0.5],
    )
    figure.update_yaxes(visible=False, range=[NONE - 0.1 if any(axis.gaps for axis in axes) else -0.1, 1.1])
    values = ", ".join(f"{name} {say(best.params[name])}" for name in names if name in best.params)
    return theme.summarised(figure, f"The best trial has {values}.")


class Axis:
    """The values of one parameter, put between 0 and 1."""

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        self.values = values
        """One for each completed trial; None where it does not have the parameter."""
        self.gaps = None in values
        known = [value for value in values if value is not None]
        self.numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
        if self.numeric:
            self.low, self.high = min(known), max(known)
            self.log = self.low > 0 and self.high / self.low >= 20
        else:
            self.choices = sorted({say(value) for value in known})

    def place(self, value: Any) -> float:
        """Where on the axis."""
        if value is None:
            return NONE
        if not self.numeric:
            return self.choices.index(say(value)) / max(1, len(self.choices) - 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    @property
    def ticks(self) -> list[tuple[float, str]]:
        none = [(NONE, "none")] if self.gaps else []
        if self.numeric:
            return [*none, (0, say(self.low)), (1, say(self.high))]
        last = max(1, len(self.choices) - 1)
        return [*none, *theme.evenly([(place / last, name) for place, name in enumerate(self.choices)], 8)]

    @property
    def beside(self) -> list[str]:
        """Where the text of each tick stands, away from the lines."""
        if self.numeric:
            return ["bottom center" if y <= 0 else "top center" for y, _ in self.ticks]
        return ["middle right"] * len(self.ticks)


def _varying(completed: Sequence[TrialRecord], parameters: Sequence[str] | None) -> list[str]:
    names = dict.fromkeys(name for record in completed for name in record.params)
    varying = [name for name in names if len({say(record.params.get(name)) for record in completed}) > 1]
    return varying if parameters is None else [name for name in parameters if name in varying]


def _line(axes: Sequence[Axis], place: int, number: int) -> list[tuple[int, float | None, str]]:
    """The trial at this place: where its line crosses each axis, and what it says there."""
    values = [axis.values[place] for axis in axes]
    return [
        (x, theme.rounded(axis.place(value)), f"trial {number}: {say(value)}")
        for x, (axis, value) in enumerate(zip(axes, values, strict=True))
    ]


def _wrapped(name: str) -> str:
    """A name over as many lines as a narrow column needs, broken after underscores."""
    lines = [""]
    for part in name.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1] + part) > COLUMN:
            lines.append("")
        lines[-1] += part
    return "<br>".join(lines)


def say(value: Any) -> str:
    """A value in a few letters."""
    return f"{value:.3g}" if isinstance(value, float) else theme.short(str(value))
