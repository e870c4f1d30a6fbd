"""How trials ended, and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import plotly.graph_objects as go

import nas.views.figures.theme as theme
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.views.figures.theme import COLOURS

if TYPE_CHECKING:
    from nas.views.figures.theme import Trials

LONGEST = 40
"""Letters of a reason."""


def outcomes(trials: Trials) -> go.Figure:
    """Number of trials by outcome and kind of reason."""
    records = theme.records_of(trials)
    counted = Counter((record.outcome, kind_of_reason(record)) for record in records)
    figure = theme.new_figure("Outcomes", "trials", height=130 + 34 * max(1, len(counted)))
    if not records:
        return theme.nothing_yet(figure, "There is no trial yet.")
    order = list(Outcome)
    rows = sorted(counted.items(), key=lambda row: (order.index(row[0][0]), -row[1]))
    labels = [outcome.in_words + (f": {reason}" if reason else "") for (outcome, reason), _ in rows]
    theme.add_bars(
        figure,
        [number for _, number in rows],
        labels,
        text=[f"{number:,}" for _, number in rows],
        marker={"color": [COLOURS[outcome] for (outcome, _), _ in rows]},
        hovertemplate="%{y}: %{x:,}<extra></extra>",
    )
    said = ", ".join(f"{label} {number:,}" for label, (_, number) in zip(labels, rows, strict=True))
    return theme.summarised(figure, f"{len(records):,} trials: {said}.")


def kind_of_reason(record: TrialRecord) -> str:
    """What comes before the particulars of a reason: of "pruner: 0.51 after epoch 3", "pruner"."""
    if record.outcome in (Outcome.DUPLICATE, Outcome.DOES_NOT_FIT):
        return ""
    kind = (record.reason or "").split(":")[0].strip()
    return kind if len(kind) <= LONGEST else f"{kind[: LONGEST - 1]}…"
