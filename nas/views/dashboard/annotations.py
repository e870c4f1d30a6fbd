"""optuna-dashboard with our notes and figures, which are added to its answers and stored nowhere.

Stored, as `optuna_dashboard.save_note` does, they would be rows in the study's database, written beside the
driver, read again with every poll and looked through once for every trial.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from nas.views.dashboard.notes import study_note, trial_note
from nas.views.dashboard.watched import Watched, WatchedStudy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DETAIL = re.compile(r"/api/studies/(\d{1,9})/?")

PATIENCE = 1.0
"""Seconds that one answer may spend on following networks it has not met; the other notes link to them."""


class Annotated:
    """A WSGI application around optuna-dashboard's."""

    def __init__(self, dashboard: WSGIApplication, watched: Watched) -> None:
        self._dashboard = dashboard
        self._watched = watched

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        asked = DETAIL.fullmatch(request.path) if request.method == "GET" else None
        watched = self._watched.get(int(asked[1])) if asked else None
        if watched is None:
            return self._dashboard(environ, start_response)
        response = Response.from_app(self._dashboard, environ, buffered=True)
        if response.status_code == 200:
            response.set_data(json.dumps(annotated(response.get_json(), watched, request.root_path)))
        return response(environ, start_response)


def annotated(detail: dict[str, Any], watched: WatchedStudy, root: str = "") -> dict[str, Any]:
    """A study as optuna-dashboard's API tells it, with notes and figures.

    Args:
        root: path below which the dashboard lies.
    """
    records = watched.records()
    deadline = time.monotonic() + PATIENCE
    _set_note(detail, study_note(watched, root))
    for told in (
        *detail["best_trials"],
        *reversed(detail["trials"]),
    ):  # the latest first, while there is time
        if told["number"] < len(records):
            record = records[told["number"]]
            now = time.monotonic() < deadline or watched.knows_layers(record)
            _set_note(told, trial_note(watched, record, with_layers=now, root=root))
    figures = [{"id": name, "graph_object": figure} for name, figure in watched.figures().items()]
    return detail | {"plotly_graph_objects": [*figures, *detail["plotly_graph_objects"]]}


def _set_note(told: dict[str, Any], body: str) -> None:
    """What a person has written stays."""
    if not told["note"]["body"]:
        told["note"] |= {"body": body}
