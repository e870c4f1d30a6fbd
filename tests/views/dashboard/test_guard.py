"""The door under load, over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from werkzeug.wrappers import Request, Response

from nas.views.dashboard import guard
from nas.views.dashboard.door import Door
from nas.views.dashboard.guard import make_server

TOKEN = "a-token-of-the-test-0123456789"
COOKIE = {"Cookie": f"nas={TOKEN}"}
LIMIT = 30
"""Seconds after which a client gives up: waitress alone would let it wait for 120."""


@Request.application
def echo(request: Request) -> Response:
    return Response(f"{len(request.get_data())} bytes")


@pytest.fixture
def port() -> Iterator[int]:
    """A writable dashboard that needs a token, and says how large a body was."""
    door = Door(echo, names=[], token=TOKEN, writable=True)
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(door, door.admits, listening)
    threading.Thread(target=server.run, daemon=True).start()
    yield server.effective_port
    server.close()


def asked(
    port: int, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request(method, "/", body or None, headers or {})
    answer = connection.getresponse()
    said = answer.status, answer.read().decode()
    connection.close()
    return said


@pytest.mark.parametrize(
    "half",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["half a request", "nothing", "no body"],
)
def test_strangers_who_keep_their_seats_keep_nobody_out(port: int, half: bytes) -> None:
    with ExitStack() as strangers:
        for _ in range(guard.SEATS + 20):
            stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
            stranger.sendall(half)
        assert asked(port, headers=COOKIE) == (200, "0 bytes")


def test_who_is_known_keeps_the_seat_that_a_stranger_has_to_leave(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", "/", headers=COOKIE)
    assert connection.getresponse().read() == b"0 bytes"
    with ExitStack() as strangers:
        for _ in range(guard.SEATS + 20):
            strangers.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
        before = connection.sock
        connection.request("GET", "/", headers=COOKIE)
        assert connection.getresponse().read() == b"0 bytes"
        assert connection.sock is before


@pytest.mark.parametrize("length", ["Content-Length: 157286400", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_stranger_is_answered_before_the_body_is_read(
    port: int, length: str, expect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        guard, "PATIENCE", 0.5
    )  # then the connection is closed, and all of the answer is here
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as stranger:
        stranger.sendall(
            f"POST /api/studies HTTP/1.1\r\nHost: localhost\r\n{expect}{length}\r\n\r\n".encode()
        )
        answer = stranger.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_stranger_who_sends_a_body_all_the_same_hears_the_answer(port: int) -> None:
    status, said = asked(port, "POST", body=b"GET / HTTP/1.1\r\n\r\n" * 20_000)
    assert (status, said.split(":")[0]) == (401, "Come in with the token")


def test_a_body_of_who_may_write_is_read(port: int) -> None:
    assert asked(port, "POST", COOKIE, b"x" * 2**20) == (200, "1048576 bytes")
    assert asked(port, "POST", COOKIE | {"Origin": "ftp://evil"}, b"x" * 2**20)[0] == 403


def test_headers_that_come_byte_by_byte_are_not_waited_for(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", -1)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as stranger:
        stranger.sendall(b"GET / HT")
        assert stranger.recv(100) == b""
