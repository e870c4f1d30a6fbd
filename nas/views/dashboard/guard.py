"""waitress, held so that who may not come in costs next to nothing, and nobody has to wait for them.

- The body of a request that the door refuses is not read: the answer comes after the headers.
- There is always a seat for one more connection: the one that has been idle longest goes, strangers first.
- Headers have to come at once, not byte by byte.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import waitress
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from werkzeug.wrappers import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 8
"""Requests that are answered at the same time: a browser asks for six at once."""

SEATS = 200
"""Connections that may be open; a browser keeps six."""

PATIENCE = 10
"""Seconds for the headers of a request to come, and for a stranger's connection to be idle."""

IDLE = 120
"""Seconds for the connection of somebody who was let in to be idle."""

FAREWELL = 1
"""Seconds in which a visitor may hear the answer to a request whose body is not read."""

LARGEST_HEADER, LARGEST_BODY = 2**16, 2**26
"""Bytes. A body is an artifact at most, and its sender was let in."""

Admits = Callable[[Request], bool]


def make_server(site: WSGIApplication, admits: Admits, listening: socket.socket) -> Any:
    """waitress's server of `site`.

    Args:
        admits: whether a request, whose body was not read, may come in and bring its body along.
    """
    server = waitress.create_server(
        site,
        sockets=[listening],
        threads=THREADS,
        ident="",
        asyncore_use_poll=True,  # select knows no more than 1,024 files
        connection_limit=2 * SEATS,  # beyond all that `_Channel` gives a seat
        cleanup_interval=1,
        max_request_header_size=LARGEST_HEADER,
        max_request_body_size=LARGEST_BODY,
        log_socket_errors=False,  # that a visitor has hung up is no news
    )
    server.channel_class = lambda *given, **named: _Channel(admits, *given, **named)
    server.maintenance = lambda now: _close_idle(server, now)
    return server


def _close_idle(server: Any, now: float) -> None:
    for channel in server.active_channels.values():
        patience = IDLE if channel.known else PATIENCE
        if not channel.requests and now - channel.last_activity > patience:
            channel.will_close = True


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    known = False
    """Whether a request of it was let in."""
    unread = False
    """Whether a body comes that nobody will read."""
    _leaving: float | None = None
    """When it is closed for good. Closed with bytes unread, it would take back the answer that was sent."""

    def __init__(self, admits: Admits, server: Any, *given: Any, **named: Any) -> None:
        self.admits = admits
        self._begun = time.time()
        others = [channel for channel in server.active_channels.values() if not channel.will_close]
        super().__init__(server, *given, **named)
        idle = [channel for channel in others if not channel.requests]
        if len(others) >= SEATS and idle:
            min(idle, key=lambda channel: (channel.known, channel.last_activity)).will_close = True

    def parser_class(self, adjustments: Any) -> _Parser:
        self._begun = time.time()
        return _Parser(adjustments, self)

    def received(self, data: bytes) -> bool:
        taken: bool = super().received(data)
        late = time.time() - self._begun > PATIENCE
        if self.request is not None and not self.request.headers_finished and late:
            self.will_close = True
        return taken

    def handle_close(self) -> None:
        if self.unread and self.connected and self._leaving is None:
            self._leaving = time.time() + FAREWELL
            self.will_close = self.close_when_flushed = False
            with suppress(OSError):  # the visitor may have left already
                self.socket.shutdown(socket.SHUT_WR)
        else:
            super().handle_close()

    def readable(self) -> bool:
        return self._leaving is not None or bool(super().readable())

    def writable(self) -> bool:
        if self._leaving is not None:
            return self.will_close or time.time() > self._leaving
        return bool(super().writable())

    def handle_write(self) -> None:
        if self._leaving is not None:
            self.handle_close()
        else:
            super().handle_write()

    def handle_read(self) -> None:
        if self._leaving is None:
            super().handle_read()
        elif not self._drop():
            self.handle_close()

    def _drop(self) -> bool:
        """Whether more may come after what has come, which goes nowhere."""
        try:
            return bool(self.recv(self.adj.recv_bytes)) and self.connected
        except OSError:
            return False


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request."""

    def __init__(self, adjustments: Any, channel: _Channel) -> None:
        super().__init__(adjustments)
        self._channel = channel

    def parse_header(self, header: bytes) -> None:
        super().parse_header(header)
        admitted = self._channel.admits(self._asked())
        self._channel.known |= admitted
        if "body_rcv" in vars(self) and (not admitted or self.command in ("GET", "HEAD")):
            self._channel.unread = self.connection_close = True
            self.close()  # the buffer of the body
            self.body_rcv: Any = None
            self.content_length, self.chunked, self.expect_continue = 0, False, False
            self.headers.pop("CONTENT_LENGTH", None)

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        return len(data) if self._channel.unread else taken

    def _asked(self) -> Request:
        """As the door will see it, without a body."""
        names = {name: name if name == "CONTENT_TYPE" else f"HTTP_{name}" for name in self.headers}
        return Request(
            {
                "REQUEST_METHOD": self.command.upper(),
                "PATH_INFO": self.path,
                "QUERY_STRING": self.query,
                "SERVER_NAME": self.adj.server_name,
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": self.url_scheme,
                "wsgi.input": BytesIO(),
                **{names[name]: value for name, value in self.headers.items()},
            }
        )
