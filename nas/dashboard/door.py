"""The door of the dashboard: who may come in, what they may do, and what a browser may do with what it gets.

optuna-dashboard has no login, takes every request that reaches it, deletes studies included, and serves
artifacts as pages of its own origin. Hence, in this order:

- the `Host` must be an address, or a name of this machine: a page whose name was rebound to us is refused;
- with a token, who does not show it learns nothing; the browser gets a cookie in exchange for it;
- nothing may be changed, unless the dashboard is writable, and then not by the page of another site;
- every answer tells the browser to guess no type, to tell other sites no address and to let none embed it;
  an artifact moreover lies in a sandbox, where no script runs.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import traceback
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"


class Door:
    """A WSGI application that stands before another.

    Args:
        inside: what is protected.
        names: host names that this machine goes by, beside its addresses.
        token: what a visitor must show; None where only this machine can come in.
        writable: whether requests may change anything.
        cookie: name of the cookie that stands for the token. Cookies do not tell ports apart: it should.
    """

    def __init__(
        self,
        inside: WSGIApplication,
        *,
        names: Collection[str],
        token: str | None = None,
        writable: bool = False,
        cookie: str = "nas",
    ) -> None:
        self._inside = inside
        self._names = {"localhost", *(name.lower() for name in names)}
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

    def _entrance(self, request: Request) -> Response | None:
        """What a visitor gets who may not come in, or who has just shown the token; None for the others."""
        if not self._is_our_name(request.headers.get("Host", "")):
            return _plain("This machine does not go by that name.", 421)
        if self._token is None:
            return None
        if self._is_token(request.args.get("token")):
            home = redirect(quote(request.path), 303)
            home.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax")
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
            return _forbidden("This dashboard is read-only. Start it with --writable to change something.")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return _forbidden("Another site's page may not change anything here.")
        return None

    def _ask_inside(self, environ: WSGIEnvironment) -> Response:
        try:
            return Response.from_app(self._inside, environ)
        except Exception:  # such as a study's name that cannot be the name of a file
            environ["wsgi.errors"].write(traceback.format_exc())
            return _plain("The dashboard could not answer.", 500)

    def _is_our_name(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
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


def _forbidden(reason: str) -> Response:
    """As optuna-dashboard's page expects it, which shows the reason."""
    return Response(json.dumps({"reason": reason}), 403, content_type="application/json")
