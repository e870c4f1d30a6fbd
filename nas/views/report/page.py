"""The page itself: facts, figures and a drawing, put into the template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

import nas.views.figures as figures
from nas.errors import NasError
from nas.machine.versions import versions
from nas.network.drawing import architecture_svg
from nas.study.records import TrialRecord, best_of, counts_of
from nas.study.spending import untimed
from nas.views import format
from nas.views.figures.importance import importances_of
from nas.views.report import sections

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.views.shown import Study, Trial

BROAD, NARROW = 980, 330
"""Pixels of the drawing on a screen and on a phone."""


@dataclass(frozen=True)
class Shown:
    """A figure as the template needs it."""

    name: str
    title: str
    summary: str
    height: int
    full: bool
    """Whether it takes the whole width of the page."""
    json: str
    """The figure as plotly writes it; empty where there is nothing to draw."""


def render(study: Study) -> str:
    """The report of a study as one HTML document that needs nothing else."""
    trials = study.trials
    records = [trial.record for trial in trials]
    best = best_of(records)
    data, content = study.store.data["info"], study.to_json()
    plotly, script = get_plotlyjs(), _file("page.js")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_file("page.html"))
    return template.render(
        study=format.clean(study.name),
        lead=_lead(records, best, data),
        best=_best(trials[best.number], records) if best else None,
        question=sections.question(study, records),
        settings=sections.settings(study),
        notes=study.store.data.get("notes", []),
        figures=list(_figures(study, records)),
        num_train=data["num_train"],
        cost=sections.cost(records, data["num_train"]),
        cost_by_part=sections.cost_by_part(records),
        untimed=untimed(records),
        cost_by_outcome=sections.cost_by_outcome(records),
        trust=sections.trust(study, best, records),
        baselines=sections.baselines(content["baselines"], best, study.store.metric),
        final=sections.final(content["final"]),
        footer=f"Made by nas {versions()['nas']} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Times are UTC.",
        style=_file("page.css"),
        script=script,
        plotly=plotly,
        hashes=" ".join(_hash(text) for text in (plotly, script)),
    )


def _lead(records: Sequence[TrialRecord], best: TrialRecord | None, data: dict[str, Any]) -> str:
    told = format.counts(counts_of(records))
    if best is None or best.value is None:
        return f"No network for {data['name']} yet. Trials: {told}."
    return (
        f"The best network for {data['name']} reaches a validation {best.metric_in_words} of {best.value:.4f}"
        f" with {format.count(best.num_parameters)} parameters. Trials: {told}."
    )


def _best(best: Trial, records: Sequence[TrialRecord]) -> dict[str, Any]:
    found = {
        "number": best.number,
        "answer": sections.answer(best.record),
        "network": sections.network(best.record),
        "table": sections.best_trials(records),
        "drawing": "",
    }
    try:
        table = best.layers()
    except NasError as error:  # such as of a space that has changed since
        return found | {"no_drawing": str(error)}
    draw = partial(architecture_svg, table, best.data.shape)
    return found | {"drawing": draw(width=BROAD), "narrow_drawing": draw(width=NARROW)}


def _figures(study: Study, records: Sequence[TrialRecord]) -> Iterator[Shown]:
    important = list(importances_of(study)) or None
    made: dict[str, tuple[Callable[[], go.Figure], bool]] = {
        "history": (partial(figures.history, records), False),
        "history_by_time": (partial(figures.history_by_time, records), False),
        "learning_curves": (partial(figures.learning_curves, records), False),
        "importances": (partial(figures.importances, study), False),
        "accuracy_against_parameters": (partial(figures.accuracy_against_parameters, records), False),
        "parallel_coordinates": (partial(figures.parallel_coordinates, records, important), True),
        "timeline": (partial(figures.timeline, records), True),
        "memory": (partial(figures.memory, records), False),
        "seconds": (partial(figures.seconds, records), False),
        "outcomes": (partial(figures.outcomes, records), False),
    }
    for name, (make, full) in made.items():
        figure = make()
        title, summary = figure.layout.title.text, figure.layout.meta["summary"]
        margin = {"l": 8, "r": 12, "t": 36, "b": 8}
        figure.update_layout(title=None, meta=None, margin=margin)
        content = figure.to_json() if figure.data else ""  # plotly writes < as \u003c: no tag can end it
        yield Shown(name, title, summary, figure.layout.height, full, content)


def _file(name: str) -> str:
    return files("nas.views.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What allows this very script in the page's Content-Security-Policy, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
