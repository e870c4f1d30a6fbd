"""The dashboard as one WSGI application: optuna-dashboard, notes, figures and our pages, behind the door."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.artifacts import FileSystemArtifactStore
from optuna_dashboard import wsgi
from sqlalchemy import event
from werkzeug.utils import redirect

from nas.study.retrying_storage import RetryingStorage
from nas.views.dashboard.annotations import Annotated
from nas.views.dashboard.base_path import Below, Moved
from nas.views.dashboard.door import Door
from nas.views.dashboard.pages import Pages
from nas.views.dashboard.watched import Watched

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Site:
    """A WSGI application, and the door that it has."""

    door: Door
    app: WSGIApplication

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


def make_site(
    storage: RetryingStorage,
    study: str,
    folder: Path,
    *,
    names: Iterable[str] = (),
    token: str | None = None,
    writable: bool = False,
    cookie: str = "nas",
    proxied: Collection[str] = (),
    base: str = "",
) -> Site:
    """Everything that the dashboard serves.

    Args:
        storage: is made read-only unless `writable`, down to the database itself.
        study: the name of the one that is shown first.
        folder: where results lie; artifacts of Optuna in `artifacts` under it.
        names, token, cookie, proxied: as for `Door`.
        base: path below which it lies, such as /nas.
    """
    if not writable:
        make_read_only(storage)
    artifacts = folder / "artifacts"
    if writable:
        artifacts.mkdir(exist_ok=True)
    store = FileSystemArtifactStore(artifacts) if artifacts.is_dir() else None
    watched = Watched(storage, folder, study)
    pages, dashboard = Pages(watched), Annotated(Moved(wsgi(storage, store)), watched)

    def rooms(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/nas" or path.startswith("/nas/"):
            return pages(environ, start_response)
        if path in ("", "/"):
            home = redirect(f"{environ['SCRIPT_NAME']}/dashboard/studies/{watched.first}")
            return home(environ, start_response)
        return dashboard(environ, start_response)

    names = [*names, socket.gethostname(), socket.getfqdn()]
    door = Door(rooms, names=names, token=token, writable=writable, cookie=cookie, proxied=proxied)
    return Site(door, Below(door, base))


def make_read_only(storage: RetryingStorage) -> None:
    """Let the database itself refuse every write that comes through `storage`."""
    storage.close()  # what is open already would not be asked
    sqlite = storage.engine.dialect.name == "sqlite"

    def refuse_writes(connection: Any, record: object, proxy: object) -> None:
        if sqlite:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.cursor().execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.commit()

    for engine in storage.engines:
        event.listen(engine, "checkout", refuse_writes)
