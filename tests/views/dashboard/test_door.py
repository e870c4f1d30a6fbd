"""Who may come in, and what they may do."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna_dashboard import wsgi
from sqlalchemy.exc import DBAPIError
from werkzeug.test import Client
from werkzeug.wrappers import Response

from nas.errors import StorageError
from nas.study import tables
from nas.study.database import open_database
from nas.views.dashboard.door import Door
from nas.views.dashboard.site import make_read_only
from tests.views.dashboard.conftest import site_of
from tests.views.dashboard.samples import Sample

SECRET = b"what only visitors may see"
TOKEN = "a-token-of-the-test-0123456789"
PATHS = ["/", "/nas", "/nas/1", "/nas/1/trials/1", "/nas/files/page.css", "/dashboard", "/api/studies",
         "/api/studies/1", "/static/bundle.js", "/csv/1", "/artifacts/1/0", "/nothing/here"]  # fmt: skip


def visitor(names: Sequence[str] = (), **options: Any) -> Client:
    """Somebody before a door with a secret behind it."""
    return Client(Door(Response(SECRET), names=names, **options), use_cookies=False)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:9000", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.7.7", 200),
        ("gpu.lan:8080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("a b", 421),
    ],
)
def test_only_the_names_of_this_machine_are_answered(host: str, status: int) -> None:
    answer = visitor(names=["gpu.lan"]).get("/", headers={"Host": host})
    assert answer.status_code == status
    assert (SECRET in answer.data) == (status == 200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_without_the_token_every_request_learns_the_same_nothing(sample: Sample, method: str) -> None:
    client = Client(site_of(sample, token=TOKEN))
    nowhere = client.open("/nowhere", method=method)
    for path in PATHS:
        answer = client.open(path, method=method)
        assert answer.status_code == 401, path
        assert (answer.data, dict(answer.headers)) == (nowhere.data, dict(nowhere.headers)), path


def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads(sample: Sample) -> None:
    client = Client(site_of(sample, token=TOKEN, cookie="nas-8080"))
    entry = client.get(f"/dashboard/studies/1?token={TOKEN}")
    assert (entry.status_code, entry.location) == (303, "/dashboard/studies/1")
    cookie = entry.headers["Set-Cookie"]
    assert cookie.startswith(f"nas-8080={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert all(client.get(path).status_code == 200 for path in ("/nas/1", "/api/studies", "/dashboard"))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("/", {"Authorization": "Bearer wrong"}, 401),
        ("/", {"Authorization": f"Basic {TOKEN}"}, 401),
        ("/", {"Cookie": f"nas={TOKEN}"}, 200),
        ("/", {"Cookie": "nas=wrong"}, 401),
        ("/", {"Cookie": "nas=é"}, 401),
        (f"/?token={TOKEN[:-1]}", {}, 401),
        ("/?token=", {}, 401),
        ("/?token=%ff%00", {}, 401),
        (f"//evil.example/?token={TOKEN}", {}, 303),
        (f"/%0d%0aX:%20y?token={TOKEN}", {}, 303),
    ],
)
def test_what_counts_as_the_token(path: str, headers: dict[str, str], status: int) -> None:
    answer = visitor(token=TOKEN).get(path, headers=headers)
    assert answer.status_code == status
    assert (SECRET in answer.data) == (status == 200)
    assert (answer.location or "/").startswith("/")
    assert not (answer.location or "/").startswith("//")
    assert "X" not in answer.headers


def changing_routes(sample: Sample) -> list[tuple[str, str]]:
    """Every route of optuna-dashboard that is not GET, filled in with ids that exist."""
    routes = wsgi(sample.storage).routes  # type: ignore[attr-defined]
    paths = [(route.method, route.rule) for route in routes if route.method != "GET"]
    return [
        (method, rule.replace("<study_id:int>", "1").replace("<trial_id:int>", "4").split("<")[0].rstrip("/"))
        for method, rule in paths
    ]


def test_nothing_that_is_not_a_question_passes_unless_writable(sample: Sample, client: Client) -> None:
    routes = changing_routes(sample)
    assert ("DELETE", "/api/studies/1") in routes
    assert ("POST", "/api/trials/4/tell") in routes
    for method, path in [*routes, *((method, "/nas/1") for method in ("POST", "PUT", "PATCH", "OPTIONS"))]:
        answer = client.open(path, method=method, json={"state": "Fail", "study_name": "x", "body": "x"})
        assert answer.status_code == 403, (method, path)
        assert "--writable" in answer.get_json()["reason"]
    assert optuna.get_all_study_names(sample.storage) == ["study"]
    assert sample.study.get_trials()[3].state.name == "RUNNING"


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 204), ("http://localhost", 204), ("http://evil.example", 403), ("null", 403),
     ("http://localhost.evil.example", 403), ("http://localhost:9999", 403), ("ftp://localhost", 403),
     ("https://localhost", 403), ("localhost", 403)],
)  # fmt: skip
def test_a_writable_dashboard_fails_a_trial_but_not_for_the_page_of_another_site(
    sample: Sample, origin: str | None, status: int
) -> None:
    number = sample.start()
    headers = {"Origin": origin} if origin else {}
    client = Client(site_of(sample, writable=True))
    answer = client.post(f"/api/trials/{number + 1}/tell", json={"state": "Fail"}, headers=headers)
    assert answer.status_code == status
    assert sample.study.get_trials()[number].state.name == ("FAIL" if status == 204 else "RUNNING")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "gpu.example", "Origin": "https://gpu.example"}, 200),  # the proxy speaks https
        ({"Host": "gpu.example", "Origin": "ftp://gpu.example"}, 403),
        ({"Host": "gpu.example:81", "Origin": "https://gpu.example"}, 403),
    ],
)
def test_only_a_page_of_the_very_same_origin_may_change_something(
    headers: dict[str, str], status: int
) -> None:
    client = visitor(proxied=["GPU.example"], writable=True)
    assert client.post("/api/studies", headers={"Host": "localhost"} | headers).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/studies", b"no json", 400),
        ("POST", "/api/studies", b"[1]", 400),
        ("POST", "/api/studies", b'{"study_name": "x", "directions": [7]}', 400),
        ("POST", "/api/studies/99/rename", b'{"study_name": "x"}', 400),
        ("POST", "/api/trials/99/tell", b'{"state": "Fail"}', 400),
        ("PUT", "/api/studies/1/note", b"null", 400),
    ],
)
def test_what_optuna_dashboard_fails_at_is_one_line(
    sample: Sample, capfd: pytest.CaptureFixture[str], method: str, path: str, body: bytes, status: int
) -> None:
    client = Client(site_of(sample, writable=True))
    answer = client.open(path, method=method, data=body, content_type="application/json")
    assert answer.status_code == status
    assert "\n" not in answer.get_json()["reason"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_fails_inside_is_one_line_for_the_visitor_and_one_for_the_terminal() -> None:
    def broken(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("no\x1b[31m\nluck")

    said = io.StringIO()
    answer = Client(Door(broken, names=[])).get("/nas", errors_stream=said)
    assert (answer.status_code, answer.text) == (503, "The dashboard could not answer.\n")
    assert said.getvalue() == "GET /nas: RuntimeError: no?[31m?luck\n"


def test_a_name_that_is_not_ours_is_told_the_options_of_a_proxy() -> None:
    answer = visitor().get("/", headers={"Host": "gpu.example"})
    assert (answer.status_code, answer.text.count("\n")) == (421, 1)
    assert "--allow-host" in answer.text
    assert "--base-path" in answer.text
    assert visitor(proxied=["gpu.example"]).get("/", headers={"Host": "gpu.example"}).status_code == 200


def test_the_database_itself_refuses_writes_through_a_storage_that_was_made_read_only(
    sample: Sample, database_url: str
) -> None:
    storage = open_database(database_url, create=True)
    optuna.create_study(study_name="before", storage=storage)  # over connections that stay open
    storage.put(tables.epochs, {"study_uuid": "", "number": 0, "epoch": 1})
    make_read_only(storage)
    with pytest.raises((DBAPIError, optuna.exceptions.StorageInternalError)):
        optuna.create_study(study_name="after", storage=storage)
    with pytest.raises(StorageError):
        storage.put(tables.epochs, {"study_uuid": "", "number": 0, "epoch": 2})
    assert optuna.get_all_study_names(storage) == ["before"]


@pytest.mark.parametrize("path", ["/", "/nas/1", "/api/studies/1", "/dashboard", "/nothing"])
def test_every_answer_tells_the_browser_to_be_careful(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [name for name, _ in headers if name.startswith("Access-Control")]


HOSTILE = b"<script>fetch('/api/studies/1', {method: 'DELETE'}); document.title = 'ran'</script>"


def add_artifact(sample: Sample, identity: str, mimetype: str) -> str:
    """A page as an artifact of the study; its address."""
    folder = sample.folder / "artifacts"
    folder.mkdir(exist_ok=True)
    meta = {"artifact_id": identity, "filename": "../../x.html", "mimetype": mimetype, "encoding": None}
    sample.storage.set_study_system_attr(sample.study_id, f"artifacts:{identity}", json.dumps(meta))
    if "/" not in identity:
        (folder / identity).write_bytes(HOSTILE)
    return f"/artifacts/{sample.study_id}/{identity}"


def test_an_artifact_lies_in_a_sandbox(sample: Sample) -> None:
    answer = Client(site_of(sample)).get(add_artifact(sample, "00aa-11", "text/html"))
    assert (answer.status_code, answer.data) == (200, HOSTILE)
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("identity", "mimetype"),
    [
        ("00aa", "text/html\r\nSet-Cookie: x=y"),
        ("../nas.db", "text/html"),
        ("..%2fnas.db", "text/html"),
        ("%2e%2e/nas.db", "text/html"),
    ],
)
def test_a_hostile_artifact_reaches_neither_headers_nor_files(
    sample: Sample, identity: str, mimetype: str
) -> None:
    answer = Client(site_of(sample)).get(add_artifact(sample, identity, mimetype))
    assert b"SQLite" not in answer.data
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "a\r\nSet-Cookie: x=y", "../../etc/passwd", "{{ 7 * 7 }}", "é\u2028"],
)
def test_a_hostile_study_name_is_only_a_name(sample: Sample, client: Client, name: str) -> None:
    other = Sample(sample.folder, name, storage=sample.storage)
    other.complete(0.5, 0.6)
    for path in (f"/nas/{other.study_id}", f"/csv/{other.study_id}", f"/api/studies/{other.study_id}"):
        answer = client.get(path)
        assert "Set-Cookie" not in answer.headers
    page = client.get(f"/nas/{other.study_id}").text
    assert "<script>alert" not in page
    assert "49" not in page.split("<h1>")[1].split("</h1>")[0]
    assert client.get(f"/nas/{other.study_id}/trials/0/network.svg").status_code == 200
    listed = client.get("/api/studies").get_json()["study_summaries"]
    assert name in [study["study_name"] for study in listed]


def test_a_study_of_another_program_is_left_to_optuna_dashboard(sample: Sample, client: Client) -> None:
    theirs = optuna.create_study(study_name="theirs", storage=sample.storage)._study_id
    assert client.get(f"/nas/{theirs}").status_code == 404
    assert client.get(f"/api/studies/{theirs}").get_json()["note"]["body"] == ""


def test_the_root_leads_to_the_chosen_study(client: Client) -> None:
    assert client.get("/").location == "/dashboard/studies/1"
    assert client.get("/nas").location == "/nas/1"
