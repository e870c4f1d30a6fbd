"""The dashboard below a path of its host, where a proxy passes on what lies there."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from nas.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROOMS = ("", "nas", "dashboard", "api", "static", "csv", "artifacts", "favicon.ico")
"""The first parts of all our addresses."""

ADDRESS = re.compile(r"""(["`]|\$\{this\.baseURL\})(?=/(?:dashboard|api|static|csv|artifacts)[/"`])""")
"""Before an address of ours in optuna-dashboard's page and script, which know of no path above them."""


def checked_base(path: str) -> str:
    """`path` without a slash at its end; nothing for the root.

    Raises:
        InvalidSetting: it is no path.
    """
    path = path.rstrip("/")
    if path and not re.fullmatch(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)+", path):
        raise InvalidSetting(
            f"--base-path {path!r} is no path. Write one such as /nas, of letters, digits and - . _ ~ alone."
        )
    return path


class Below:
    """A WSGI application that lies below a path, which becomes its `SCRIPT_NAME`.

    Some proxies pass the path on, and some cut it off: what does not begin with it is taken to be cut.
    """

    def __init__(self, inside: WSGIApplication, base: str) -> None:
        self._inside = inside
        self._base = base

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        rest = environ["PATH_INFO"].removeprefix(self._base)
        below = rest != environ["PATH_INFO"] and rest[:1] in ("", "/")
        if below and rest.split("/")[1:2] in ([], *([room] for room in ROOMS)):
            environ["PATH_INFO"] = rest
        environ["SCRIPT_NAME"] = self._base
        return self._inside(environ, start_response)


class Moved:
    """optuna-dashboard's WSGI application, whose page asks for everything below our path."""

    def __init__(self, dashboard: WSGIApplication) -> None:
        self._dashboard = dashboard

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # its script is not to be had without
        request = Request(environ)
        page = request.path.startswith("/dashboard")
        if not request.root_path or not (page or request.path.endswith(".js")):
            return self._dashboard(environ, start_response)
        packed = request.accept_encodings["gzip"] > 0
        plain = {**environ, "REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": ""}
        for name in ("HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE"):
            plain.pop(name, None)
        response = Response.from_app(self._dashboard, plain, buffered=True)
        if response.status_code == 200:
            response.set_data(_moved(response.get_data(), request.root_path, packed))
            response.headers.pop("Last-Modified", None)
            response.headers["Vary"] = "Accept-Encoding"
            if packed:
                response.headers["Content-Encoding"] = "gzip"
            response.add_etag(overwrite=True)
            response.make_conditional(environ)
        return response(environ, start_response)


@lru_cache(maxsize=4)
def _moved(content: bytes, base: str, packed: bool) -> bytes:
    text = ADDRESS.sub(rf"\g<1>{base}", content.decode())
    # without a link to it, a browser looks for the icon at the root of the host
    text = text.replace("<head>", f'<head>\n    <link rel="icon" href="{base}/favicon.ico" />', 1)
    moved = text.encode()
    return gzip.compress(moved, 6, mtime=0) if packed else moved
