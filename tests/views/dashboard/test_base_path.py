"""The dashboard below a path, behind a proxy that passes the path on or cuts it off."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from werkzeug.test import Client

from nas.errors import InvalidSetting
from nas.views.dashboard.base_path import checked_base
from tests.browser import watched_page
from tests.grids import each_once, first_of
from tests.views.dashboard.conftest import site_of
from tests.views.dashboard.samples import Sample
from tests.views.dashboard.test_door import TOKEN

OURS = re.compile(r'(?:href|src|data-live)="(/[^"]*)"')
"""An address in a page."""


@pytest.fixture(scope="module", params=first_of(2, ["/lab/search", "/nas", "/dashboard"]))
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def below(sample: Sample, base: str) -> Client:
    return Client(site_of(sample, base=base))


@each_once(
    path=["/nas/1", "/nas/1/trials/1", "/dashboard/studies/1"],
    passed_on={"passed on": True, "cut off": False},
)
def test_pages_lead_nowhere_but_below_the_path(below: Client, base: str, path: str, passed_on: bool) -> None:
    page = below.get(base + path if passed_on else path)
    assert page.status_code == 200
    addresses = OURS.findall(page.text)
    assert addresses
    for address in addresses:
        assert address.startswith(f"{base}/"), address
        assert below.get(address).status_code in (200, 302), address


def test_redirects_and_notes_stay_below_the_path(below: Client, base: str) -> None:
    assert below.get(base).location == below.get(f"{base}/").location == f"{base}/dashboard/studies/1"
    assert below.get(f"{base}/nas").location == f"{base}/nas/1"
    detail = below.get(f"{base}/api/studies/1").get_json()
    notes = [detail["note"]["body"], *(trial["note"]["body"] for trial in detail["trials"])]
    links = [link for note in notes for link in re.findall(r"\]\((/[^)]*)\)", note)]
    assert links
    assert all(link.startswith(f"{base}/nas/1") for link in links)


def test_the_cookie_is_for_the_path_alone(sample: Sample, base: str) -> None:
    client = Client(site_of(sample, base=base, token=TOKEN))
    entry = client.get(f"{base}/nas/1?token={TOKEN}")
    assert entry.location == f"{base}/nas/1"
    assert f"Path={base}" in entry.headers["Set-Cookie"]
    assert client.get(f"{base}/nas/1").status_code == 200


def test_optuna_dashboards_script_asks_below_the_path(below: Client, base: str) -> None:
    plain = below.get(f"{base}/static/bundle.js")
    packed = below.get(f"{base}/static/bundle.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 2
    assert "${this.baseURL}/api/" not in plain.text
    assert plain.text.count(f"${{this.baseURL}}{base}/api/") > 10
    again = below.get(f"{base}/static/bundle.js", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(("path", "checked"), [("", ""), ("/", ""), ("/nas/", "/nas"), ("/a/b-c", "/a/b-c")])
def test_a_path_is_written_without_a_slash_at_its_end(path: str, checked: str) -> None:
    assert checked_base(path) == checked


@pytest.mark.parametrize(
    "path", ["nas", "//evil.example", "/a b", "/../x", '/"', "/a?b", "http://x/nas", "/é"]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidSetting, match="--base-path"):
        checked_base(path)


@pytest.fixture
def proxy() -> Iterator[Callable[..., str]]:
    """Starts a reverse proxy in front of an address, which shows it below a path; its own address."""
    servers = []

    def start(behind: str, base: str, cuts: bool) -> str:
        class Proxy(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not self.path.startswith(f"{base}/"):
                    self.send_error(404)
                    return
                inside = http.client.HTTPConnection(behind.removeprefix("http://"), timeout=60)
                path = self.path.removeprefix(base) if cuts else self.path
                length = int(self.headers.get("Content-Length", 0))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                headers["Host"] = "gpu.example"
                inside.request(self.command, path, self.rfile.read(length) or None, headers)
                answer = inside.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection", "server", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [False, True], ids=["passed on", "cut off"])
@pytest.mark.parametrize("base", ["/lab/search", "/nas"])
def test_a_browser_finds_everything_behind_a_proxy(
    sample: Sample, browser: Any, serve: Any, proxy: Callable[..., str], base: str, cuts: bool
) -> None:
    behind = serve(site_of(sample, base=base, proxied=["gpu.example"], token=TOKEN))
    address = proxy(behind, base, cuts)
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{address}{base}/?token={TOKEN}")
        page.locator(".gtitle", has_text="Learning curves").first.wait_for()
        assert page.url == f"{address}{base}/dashboard/studies/1"
        page.goto(f"{address}{base}/dashboard/studies/1/note")
        page.get_by_role("link", name="the live page").first.click()
        page.locator("main section").first.wait_for()
        with page.expect_response(lambda answer: answer.url.endswith("/live")) as live:
            pass
        assert live.value.ok
        page.goto(f"{address}{base}/nas/1/trials/1", wait_until="networkidle")
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        page.goto(f"{address}{base}/dashboard/studies/1/trials?numbers=1")
        page.get_by_alt_text("The network of trial 1").wait_for()
        page.goto(f"{address}{base}/dashboard")
        page.get_by_text("1. study").click()
        page.wait_for_url(f"{address}{base}/dashboard/studies/1")
        asked = [url for url in watched.requests if not url.startswith(("data:", "blob:"))]
        assert [url for url in asked if not url.startswith(f"{address}{base}/")] == []
        assert watched.errors == []
