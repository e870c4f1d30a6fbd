"""Our own pages under /nas: the live page of a study, the page of a trial, the drawing of its network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from nas.errors import NasError
from nas.network.drawing import architecture_svg
from nas.network.layers import LayerTable
from nas.study.clock import seconds_since
from nas.study.records import TrialRecord, best_of, plan_in_words
from nas.views import format, trial_facts
from nas.views.dashboard import charts
from nas.views.dashboard.snapshot import Snapshot
from nas.views.dashboard.watched import Watched, WatchedStudy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FILES = Path(__file__).parent / "files"
"""Templates, style sheet and script."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{kind} 'none'" for kind in ("base-uri", "form-action", "frame-ancestors")),
    ]
)
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

NUMBER = "int(max=2147483647)"  # what every database takes
STUDY = f"/nas/<{NUMBER}:study>"
TRIAL = f"{STUDY}/trials/<{NUMBER}:number>"

ROUTES = Map(
    [
        Rule("/nas", endpoint="home"),
        Rule("/nas/files/<name>", endpoint="file"),
        Rule(STUDY, endpoint="study"),
        Rule(f"{STUDY}/live", endpoint="study", defaults={"live": True}),
        Rule(TRIAL, endpoint="trial"),
        Rule(f"{TRIAL}/live", endpoint="trial", defaults={"live": True}),
        Rule(f"{TRIAL}/network.svg", endpoint="network"),
        Rule(f"{TRIAL}/narrow.svg", endpoint="network", defaults={"width": 320}),
    ],
    strict_slashes=False,
    redirect_defaults=False,
)


class Pages:
    """A WSGI application."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._templates = Environment(
            loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals |= {"format": format, "charts": charts, "seconds_since": seconds_since}
        self._templates.globals |= {"plan_in_words": plan_in_words}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            endpoint, values = ROUTES.bind_to_environ(environ).match()
            root = environ["SCRIPT_NAME"]
            response: Response = getattr(self, f"_{endpoint}")(root, **values)
            response.make_conditional(environ)
        except HTTPException as error:
            response = Response(
                f"{error.description}\n", error.code, content_type="text/plain; charset=utf-8"
            )
        return response(environ, start_response)

    def _home(self, root: str) -> Response:
        return redirect(f"{root}/nas/{self._watched.first}")

    def _file(self, root: str, name: str) -> Response:
        kinds = {".css": "text/css", ".js": "text/javascript"}
        file = FILES / name  # a rule of the map takes no slash
        if file.suffix not in kinds or not file.is_file():
            raise NotFound
        return _response(file.read_text(encoding="utf-8"), kinds[file.suffix], POLICY)

    def _study(self, root: str, study: int, live: bool = False) -> Response:
        watched = self._find(study)
        snapshot = Snapshot(watched.records(), watched.row, watched.driver)
        return self._page(root, "study", live, watched, snapshot=snapshot)

    def _trial(self, root: str, study: int, number: int, live: bool = False) -> Response:
        watched = self._find(study)
        record = _record(watched, number)
        best = best_of(watched.records())
        network: LayerTable | str
        try:
            network = watched.layers(record)
        except NasError as error:
            network = str(error)
        sections = {
            "Training": trial_facts.training_facts(record),
            "Memory": trial_facts.memory_facts(record),
            "Origin": trial_facts.origin_facts(record),
        }
        return self._page(
            *(root, "trial", live, watched),
            record=record,
            ending=trial_facts.ending(record),
            network=network,
            sections=sections,
            best=best,
        )

    def _network(self, root: str, study: int, number: int, width: int = 960) -> Response:
        watched = self._find(study)
        try:
            layers = watched.layers(_record(watched, number))
        except NasError as error:
            raise NotFound(str(error)) from error
        drawing = architecture_svg(layers, watched.input_shape, width=width)
        return _response(drawing, "image/svg+xml", DRAWING_POLICY)

    def _page(self, root: str, name: str, live: bool, watched: WatchedStudy, **facts: Any) -> Response:
        """A page, or the part of it that changes while a search runs."""
        page = f"{root}/nas/{watched.study_id}"
        template = self._templates.get_template(f"{name}_live.html" if live else f"{name}.html")
        content = template.render(study=watched.name, recipe=watched.recipe, page=page, root=root, **facts)
        return _response(content, "text/html", POLICY)

    def _find(self, study: int) -> WatchedStudy:
        watched = self._watched.get(study)
        if watched is None:
            raise NotFound("There is no such study of nas.")
        return watched


def _record(watched: WatchedStudy, number: int) -> TrialRecord:
    records = watched.records()
    if number >= len(records):
        raise NotFound("There is no such trial.")
    return records[number]


def _response(content: str, kind: str, policy: str) -> Response:
    response = Response(content, mimetype=kind)
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return response
