"""What a person sees, in a real browser that may not leave this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import waitress

import nas
from nas.events import EpochTrained, Event
from nas.study.database import open_database, storage_url
from nas.study.outcome import Outcome
from nas.views.dashboard.site import make_site
from tests.browser import Watched, watched_page
from tests.views.dashboard.conftest import site_of
from tests.views.dashboard.samples import Sample
from tests.views.dashboard.test_door import HOSTILE, add_artifact

TOKEN = "a-token-of-the-test-0123456789"
Serve = Callable[[Any], str]


@pytest.fixture(scope="module")
def address(sample: Sample, serve: Serve) -> str:
    return serve(site_of(sample))


def is_calm(watched: Watched, address: str) -> None:
    """Nothing was complained about, and nobody else was asked."""
    assert watched.errors == []
    assert [url for url in watched.requests if not url.startswith((address, "data:", "blob:"))] == []


@pytest.mark.slow
def test_the_dashboard_lists_the_study_and_shows_its_figures(browser: Any, address: str) -> None:
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}/dashboard")
        watched.page.get_by_text("1. study").wait_for()
        watched.page.goto(f"{address}/")
        for title in ("Learning curves", "Accuracy against parameters", "Memory"):
            watched.page.locator(".gtitle", has_text=title).first.wait_for()
        drawn = watched.page.locator(".scatterlayer .trace")
        drawn.first.wait_for(state="attached")
        assert drawn.count() >= 6
        is_calm(watched, address)


@pytest.mark.slow
def test_a_trials_note_shows_its_layers_and_its_drawing(browser: Any, address: str) -> None:
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}/dashboard/studies/1/trials?numbers=1")
        table = watched.page.locator("table", has_text="multiply-adds").first
        table.wait_for()
        assert table.locator("td", has_text="Linear").count() >= 1
        image = watched.page.get_by_alt_text("The network of trial 1")
        image.wait_for()
        watched.page.wait_for_function("[...document.images].every(image => image.naturalWidth > 0)")
        is_calm(watched, address)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
@pytest.mark.parametrize("path", ["/nas/1", "/nas/1/trials/1"])
def test_our_pages_fit_a_desktop_and_a_phone(
    browser: Any, address: str, path: str, width: int, dark: bool
) -> None:
    with watched_page(browser, width=width, dark=dark) as watched:
        watched.page.goto(f"{address}{path}", wait_until="networkidle")
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        assert watched.page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        paper = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(246, 247, 249)") != dark
        is_calm(watched, address)


def test_the_live_page_follows_the_search(own_sample: Sample, browser: Any, serve: Serve) -> None:
    address = serve(site_of(own_sample))
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}/nas/1")
        card = watched.page.locator("#running a.card")
        assert "epoch 2 of 4" in card.inner_text()
        watched.page.evaluate("document.querySelector('#best').dataset.kept = 'yes'")
        own_sample.train(3, 0.95)
        watched.page.get_by_text("epoch 3 of 4").wait_for()
        assert watched.page.locator("#best").get_attribute("data-kept") == "yes"  # it had not changed
        own_sample.end(3, Outcome.COMPLETED, value=0.95)
        watched.page.locator("#tiles", has_text="0.9500").wait_for()
        assert card.count() == 0
        is_calm(watched, address)


@pytest.mark.slow
def test_a_search_is_watched_and_a_trial_that_is_failed_there_is_cancelled(
    tmp_path: Path, browser: Any, serve: Serve
) -> None:
    settings = {"space": "mlp", "data": "digits", "epochs": 4, "trials": 1, "workers": 1, "device": "cpu"}
    trained, failed = threading.Event(), threading.Event()

    def watch(event: Event) -> None:
        if isinstance(event, EpochTrained) and not trained.is_set():
            trained.set()
            failed.wait(120)  # the driver holds its breath

    def search() -> None:
        nas.search(study="real", folder=tmp_path, pruner="none", watch=watch, **settings)

    thread = threading.Thread(target=search)
    thread.start()
    assert trained.wait(120)
    storage = open_database(storage_url(None, tmp_path), create=False)
    address = serve(make_site(storage, "real", tmp_path, writable=True))
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}/nas/1")
        watched.page.get_by_text("searching", exact=True).wait_for()
        watched.page.locator("#running", has_text="trial 0").wait_for()
        answer = watched.page.request.post(f"{address}/api/trials/1/tell", data={"state": "Fail"})
        assert answer.status == 204
        failed.set()
        watched.page.locator("#outcomes", has_text="cancelled in the dashboard").wait_for()
        thread.join(120)
        watched.page.get_by_text("no search is running").wait_for()
        is_calm(watched, address)
    ended = [trial.record.outcome for trial in nas.load_study("real", folder=tmp_path).trials]
    assert ended == [Outcome.FAILED, Outcome.COMPLETED]


@pytest.mark.slow
def test_a_dashboard_that_is_gone_is_said(own_sample: Sample, browser: Any) -> None:
    server = waitress.create_server(site_of(own_sample), host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    with watched_page(browser) as watched:
        watched.page.goto(f"http://127.0.0.1:{server.effective_port}/nas/1")
        server.close()
        watched.page.context.set_offline(True)
        watched.page.locator("#connection").wait_for(state="visible")


@pytest.mark.slow
def test_the_token_of_the_address_opens_the_door_once(sample: Sample, browser: Any, serve: Serve) -> None:
    address = serve(site_of(sample, token=TOKEN))
    with watched_page(browser) as watched:
        assert watched.page.request.get(f"{address}/nas/1").status == 401
        watched.page.goto(f"{address}/nas/1?token={TOKEN}")
        assert watched.page.url == f"{address}/nas/1"
        watched.page.get_by_text("Best accuracy").wait_for()
        assert watched.page.evaluate("document.cookie") == ""
        watched.page.goto(f"{address}/dashboard")
        watched.page.get_by_text("1. study").wait_for()
        is_calm(watched, address)


@pytest.mark.slow
def test_a_read_only_dashboard_says_so_to_who_clicks(own_sample: Sample, browser: Any, serve: Serve) -> None:
    address = serve(site_of(own_sample))
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}/dashboard/studies/1/trials?numbers=3")
        watched.page.get_by_role("button", name="Fail Trial").click()
        watched.page.get_by_text("Failed to").first.wait_for()
        assert own_sample.study.get_trials()[3].state.name == "RUNNING"


HOSTILE_NAME = "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">"


@pytest.mark.slow
def test_hostile_names_reasons_and_artifacts_do_nothing(tmp_path: Path, browser: Any, serve: Serve) -> None:
    sample = Sample(tmp_path, HOSTILE_NAME)
    number = sample.start(accuracies=(0.5,), device=HOSTILE_NAME)
    sample.end(number, Outcome.PRUNED, reason=f"{HOSTILE_NAME}\r\n| [x](javascript:alert(1)) <b>bold</b>")
    sample.complete(0.5, 0.6)
    page_of_artifact = add_artifact(sample, "00aa", "text/html")
    address = serve(site_of(sample))
    for path, seen in {
        "/nas/1": "Best accuracy",
        "/nas/1/trials/0": "multiply-adds",
        "/dashboard": HOSTILE_NAME,
        "/dashboard/studies/1/trials?numbers=0": "multiply-adds",
    }.items():
        with watched_page(browser) as watched:
            watched.page.goto(f"{address}{path}")
            watched.page.get_by_text(seen).first.wait_for()
            watched.page.wait_for_timeout(200)
            assert watched.page.title() != "ran", path
            assert watched.page.locator("b", has_text="bold").count() == 0
            assert watched.page.locator("a[href^='javascript']").count() == 0
            is_calm(watched, address)
    with watched_page(browser) as watched:
        watched.page.goto(f"{address}{page_of_artifact}")
        assert watched.page.title() != "ran"
        assert HOSTILE.decode()[8:40] in watched.page.content()
        assert any("sandboxed" in error for error in watched.errors)
    assert len(sample.study.get_trials()) == 2
