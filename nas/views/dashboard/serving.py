"""The dashboard on a port of this machine, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import InvalidSetting, NasError
from nas.machine.files import expanded

try:
    import jinja2  # noqa: F401
    import optuna_dashboard  # noqa: F401
    import plotly  # noqa: F401
    import waitress  # noqa: F401
    import werkzeug  # noqa: F401
except ModuleNotFoundError as error:
    raise NasError(f"The dashboard needs {error.name}: pip install 'optuna-nas[dashboard]'.") from error

from nas.study.database import open_database, storage_url
from nas.study.reader import StudyReader
from nas.views.dashboard.base_path import checked_base
from nas.views.dashboard.guard import make_server
from nas.views.dashboard.site import make_site

SHORTEST_TOKEN = 16
"""Characters of a token in a file; ours have 43."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that listens on its port."""

    study: str
    """The name of the study that is shown first."""
    url: str
    """The address to open, with the token if there is one."""
    live: str
    """Address of our own page; without the token."""
    server: Any
    """The server, which is waitress's."""

    def run(self) -> None:
        """Answer until Ctrl-C."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="optuna")  # of importances that few trials tell
                logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each that waits
                self.server.run()
        finally:
            self.server.close()


def open_dashboard(
    study: str | None = None,
    *,
    storage: str | None = None,
    folder: Path | str = "studies",
    host: str = "127.0.0.1",
    port: int = 8080,
    token_file: Path | None = None,
    writable: bool = False,
    allow_hosts: Sequence[str] = (),
    base_path: str = "",
) -> Dashboard:
    """The dashboard of a study and of its whole database.

    Args:
        study: the latest if None.
        host: where it listens. Anywhere but on this machine alone, visitors need a token.
        port: another one that is free if it is taken.
        token_file: holds the token that visitors need; else one is made up where one is needed.
        writable: whether studies may be changed through it, and trials failed.
        allow_hosts: names by which a proxy is asked for it.
        base_path: path below which a proxy shows it, such as /nas.

    Raises:
        NasError: there is no such study, database, host, path or token file.
    """
    base = checked_base(base_path)
    folder, token_file = expanded(folder), token_file and expanded(token_file)
    opened = open_database(storage_url(storage, folder), read_only=not writable)
    name = StudyReader.find(opened, study, folder).name
    token = _read_token(token_file) if token_file else None if is_local(host) else secrets.token_urlsafe(32)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    site = make_site(
        opened,
        name,
        folder,
        names=[host],
        token=token,
        writable=writable,
        cookie=f"nas-{port}",
        proxied=allow_hosts,
        base=base,
    )
    server = make_server(site, site.door.admits, listening)
    base = f"http://{_reachable(host)}:{port}{base}"
    return Dashboard(name, f"{base}/?token={token}" if token else f"{base}/", f"{base}/nas", server)


def is_local(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A socket on `port`, or on a free one."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        for place in (address, (address[0], 0, *address[2:])):
            listening = socket.socket(family, kind)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(place)
                listening.listen(128)
                return listening
            except OSError:
                listening.close()
                if place != address:
                    raise
    except (OSError, OverflowError) as error:
        raise InvalidSetting(f"The dashboard cannot listen on {host}, port {port}: {error}.") from error
    raise AssertionError("the last place returns or raises")


def _read_token(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"The token file {file} cannot be read: {error}.") from error
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSetting(
            f"The token file {file} must hold {SHORTEST_TOKEN} or more ASCII characters and no blanks."
        )
    return token


def _reachable(host: str) -> str:
    """`host` as others write it in an address."""
    if host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # nothing is sent; it only chooses one of our addresses
                return str(probe.getsockname()[0])
            except OSError:
                return socket.gethostname()
    return f"[{host}]" if ":" in host else host
