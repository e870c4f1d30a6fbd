"""`nas dashboard` as a person runs it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from nas.errors import NasError
from nas.views.dashboard.serving import Dashboard, is_local, open_dashboard
from tests.views.dashboard.samples import Sample


@contextmanager
def running(sample: Sample, **options: Any) -> Iterator[Dashboard]:
    """A dashboard that answers."""
    opened = open_dashboard(folder=sample.folder, port=0, **options)
    threading.Thread(target=opened.run, daemon=True).start()
    try:
        yield opened
    finally:
        opened.server.close()


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_it_prints_its_address_takes_a_free_port_and_ends_with_ctrl_c(sample: Sample) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ["--folder", str(sample.folder), "--port", str(port), "--no-browser"]
        process = subprocess.Popen(
            [sys.executable, "-m", "nas", "dashboard", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            match = re.fullmatch(r"study: (http://127\.0\.0\.1:(\d+)/)\n", said[0])
            assert match
            assert int(match[2]) != port
            assert said[1:] == [f"live page: {match[1]}nas\n", "Read-only. Ctrl-C ends it.\n"]
            assert status(f"{match[1]}nas/1") == 200
            process.send_signal(signal.SIGINT)
            assert process.communicate() == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()


def test_others_than_this_machine_need_the_token_of_the_address(sample: Sample) -> None:
    with running(sample, host="0.0.0.0") as opened:
        match = re.fullmatch(r"http://([^/:]+):(\d+)/\?token=([\w-]{43})", opened.url)
        assert match
        here = f"http://127.0.0.1:{match[2]}/nas/1"
        assert status(here) == status(f"{here}?token={match[3]}x") == 401
        assert status(here, Authorization=f"Bearer {match[3]}") == 200
        assert match[3] not in opened.live


def test_a_token_file_is_asked_for_on_this_machine_too(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-token-of-a-file-0123\n")
    with running(sample, token_file=tmp_path / "token") as opened:
        base, _, token = opened.url.partition("?token=")
        assert token == "the-token-of-a-file-0123"
        assert status(base) == 401


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.7.7.7", True), ("0.0.0.0", False),
     ("::", False), ("192.168.1.2", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_which_hosts_are_this_machine_alone(host: str, local: bool) -> None:
    assert is_local(host) == local


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"study": "nobody"}, "No study named 'nobody'"),
        ({"host": "nowhere.invalid"}, "The dashboard cannot listen on nowhere.invalid, port 8080: "),
        ({"host": "203.0.113.1"}, "The dashboard cannot listen on 203.0.113.1, port 8080: "),
        ({"token_file": "missing"}, "cannot be read"),
        ({"token_file": "short"}, "must hold 16 or more ASCII characters and no blanks"),
        ({"token_file": "blank"}, "must hold 16 or more ASCII characters and no blanks"),
        ({"token_file": "binary"}, "cannot be read"),
        ({"folder": "empty"}, "There is no study yet"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    sample: Sample, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "blank").write_text("a secret that has blanks\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 20)
    for name in ("token_file", "folder"):
        if name in options:
            options = options | {name: tmp_path / options[name]}
    with pytest.raises(NasError) as error:
        open_dashboard(**{"folder": sample.folder} | options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("package", ["optuna_dashboard", "waitress"])
def test_a_package_that_is_missing_is_named_with_its_remedy(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "nas.views.dashboard.serving")
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    with pytest.raises(NasError) as error:
        import_module("nas.views.dashboard.serving")
    assert str(error.value) == f"The dashboard needs {package}: pip install 'optuna-nas[dashboard]'."
