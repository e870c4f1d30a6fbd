"""The door of the dashboard: who may come in, what they may do, and what a browser may do with what it gets.

optuna-dashboard has no login, takes every request that reaches it, deletes studies included, and serves
artifacts as pages of its own origin. Hence, in this order:

- the `Host` must be an address, or a name of this machine: a page whose name was rebound to us is refused;
- with a token, who does not show it learns nothing; the browser gets a cookie in exchange for it;
- nothing may be changed, unless the dashboard is writable, and then by pages of the same origin alone;
- what optuna-dashboard fails at is said in one line;
- every answer tells the browser to guess no type, to tell other sites no address and to let none embed it;
  an artifact moreover lies in a sandbox, where no script runs.
"""

from __future__ import annotations

import hmac
import io
import ipaddress
import json
import logging
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD")

OTHER_NAME = (
    "This machine does not go by that name. Behind a proxy, start the dashboard with --allow-host NAME, and"
    " with --base-path PATH if it lies below one."
)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _Logged(logging.Handler):
    """Keeps the first line of what optuna-dashboard logs, instead of its traceback, for each thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self._of_thread.line = record.getMessage().partition("\n")[0]

    def take(self) -> str:
        """The last line that this thread has not asked for yet."""
        line = getattr(self._of_thread, "line", "no reason is known")
        self._of_thread.__dict__.clear()
        return line


_LOGGED = _Logged()

SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"


class Door:
    """A WSGI application that stands before another.

    Args:
        inside: what is protected.
        names: host names that this machine goes by, beside its addresses.
        token: what a visitor must show; None where only this machine can come in.
        writable: whether requests may change anything.
        cookie: name of the cookie that stands for the token. Cookies do not tell ports apart: it should.
        proxied: more host names, by which a proxy is asked for us, perhaps over https.
    """

    def __init__(
        self,
        inside: WSGIApplication,
        *,
        names: Collection[str],
        token: str | None = None,
        writable: bool = False,
        cookie: str = "nas",
        proxied: Collection[str] = (),
    ) -> None:
        self._inside = inside
        logger = logging.getLogger("optuna_dashboard")
        if _LOGGED not in logger.handlers:
            logger.addHandler(_LOGGED)
            logger.propagate = False
        self._proxied = {name.lower() for name in proxied}
        self._names = {"localhost", *self._proxied, *(name.lower() for name in names)}
        self._token = token
        self._writable = writable
        self._cookie = cookie

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        response = self._entrance(request) or self._refusal(request)
        if response is None:
            response = self._ask_inside(environ)
            if request.path.startswith("/artifacts"):
                response.headers["Content-Security-Policy"] = SANDBOX
        response.headers.update(HEADERS)
        for name in [name for name, _ in response.headers if name.startswith("Access-Control-")]:
            del response.headers[name]
        return response(environ, start_response)

    def admits(self, request: Request) -> bool:
        """Whether a request may come in, by its headers alone."""
        return self._entrance(request) is None and self._refusal(request) is None

    def _entrance(self, request: Request) -> Response | None:
        """What a visitor gets who may not come in, or who has just shown the token; None for the others."""
        if not self._is_our_name(request.headers.get("Host", "")):
            return _plain(OTHER_NAME, 421)
        if self._token is None:
            return None
        if self._is_token(request.args.get("token")):
            home = redirect(quote(request.root_path + request.path), 303)
            where = request.root_path or "/"
            home.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax", path=where)
            return home
        authorization = request.authorization
        bearer = authorization.token if authorization and authorization.type == "bearer" else None
        if self._is_token(request.cookies.get(self._cookie)) or self._is_token(bearer):
            return None
        refused = _plain("Come in with the token: open the address that was printed at the start.", 401)
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    def _refusal(self, request: Request) -> Response | None:
        """What a request gets that may not change anything."""
        if request.method in READING:
            return None
        if not self._writable:
            return _refused("This dashboard is read-only. Start it with --writable to change something.", 403)
        if not self._is_same_origin(request):
            return _refused("Another site's page may not change anything here.", 403)
        return None

    def _is_same_origin(self, request: Request) -> bool:
        """What a browser says of the page that asks; other programs say nothing, and are trusted."""
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return False
        origin = request.headers.get("Origin")
        host = request.headers.get("Host", "").lower()
        schemes = ("http", "https") if _without_port(host) in self._proxied else ("http",)
        return origin is None or origin.lower() in [f"{scheme}://{host}" for scheme in schemes]

    def _ask_inside(self, environ: WSGIEnvironment) -> Response:
        """Its answer; where it fails, one line for the visitor and one for the terminal."""
        request = Request(environ)
        said = io.StringIO()  # bottle writes its tracebacks there
        try:
            response = Response.from_app(self._inside, {**environ, "wsgi.errors": said})
            if response.status_code < 500:
                return response
            response.close()
            why = (said.getvalue().strip().splitlines() or [_LOGGED.take()])[-1]
        except Exception as error:  # such as a study's name that cannot be the name of a file
            why = f"{type(error).__name__}: {error}"
        line = f"{request.method} {request.path}: {why}"
        environ["wsgi.errors"].write("".join(c if c.isprintable() else "?" for c in line) + "\n")
        if request.method in READING:
            return _plain("The dashboard could not answer.", 503)
        return _refused("Optuna's dashboard could not do that: what was sent is not what it expects.", 400)

    def _is_our_name(self, host: str) -> bool:
        name = _without_port(host)
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower().removesuffix(".") in self._names
        return True

    def _is_token(self, shown: str | None) -> bool:
        assert self._token is not None
        return shown is not None and hmac.compare_digest(shown.encode(), self._token.encode())


def _plain(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")


def _refused(reason: str, status: int) -> Response:
    """As optuna-dashboard's page expects it, which shows the reason."""
    return Response(json.dumps({"reason": reason}), status, content_type="application/json")


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdecimal() else host
