"""The dashboard as one WSGI application: optuna-dashboard, notes, figures and our pages, behind the door."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.artifacts import FileSystemArtifactStore
from optuna_dashboard import wsgi
from sqlalchemy import event
from werkzeug.utils import redirect

from nas.dashboard.annotations import Annotated
from nas.dashboard.door import Door
from nas.dashboard.pages import Pages
from nas.dashboard.watched import Watched
from nas.study.patience import StudyStorage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def make_site(
    storage: StudyStorage,
    study: str,
    folder: Path,
    *,
    names: Iterable[str] = (),
    token: str | None = None,
    writable: bool = False,
    cookie: str = "nas",
) -> WSGIApplication:
    """Everything that the dashboard serves.

    Args:
        storage: is made read-only unless `writable`, down to the database itself.
        study: the name of the one that is shown first.
        folder: where results lie; artifacts of Optuna in `artifacts` under it.
        names, token, cookie: as for `Door`.
    """
    if not writable:
        make_read_only(storage)
    artifacts = folder / "artifacts"
    if writable:
        artifacts.mkdir(exist_ok=True)
    store = FileSystemArtifactStore(artifacts) if artifacts.is_dir() else None
    watched = Watched(storage, folder, study)
    pages, dashboard = Pages(watched), Annotated(wsgi(storage, store), watched)
    home = redirect(f"/dashboard/studies/{watched.first}")

    def rooms(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/nas" or path.startswith("/nas/"):
            return pages(environ, start_response)
        return (home if path in ("", "/") else dashboard)(environ, start_response)

    names = [*names, socket.gethostname(), socket.getfqdn()]
    return Door(rooms, names=names, token=token, writable=writable, cookie=cookie)


def make_read_only(storage: StudyStorage) -> None:
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
