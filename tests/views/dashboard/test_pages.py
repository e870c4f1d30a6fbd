"""Our own pages, as the server writes them."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import Client

from nas.events import Forecast
from nas.study.database import open_database
from nas.study.outcome import Outcome
from nas.views.dashboard.site import make_site
from tests.views.dashboard.conftest import site_of
from tests.views.dashboard.samples import MIB, Sample, now


def words(page: str) -> str:
    """What a reader sees, on one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.fixture(scope="module")
def study(client: Client) -> str:
    return words(client.get("/nas/1").text)


@pytest.mark.parametrize(
    "said",
    [
        "study mlp on digits, 4 epochs, auto, seed 0",
        "no search is running",
        "Best accuracy 0.9000 trial 1, validation",
        "Trained 3 of 12",
        "trial 3 worker 1, 4 x 32 images 0:",
        "epoch 2 of 4, about 0:",
        "left 0.6000",
        "Speed 1.26k images per second",
        "Memory cpu 320 MiB reserved",
        "25 MiB used, 320 MiB reserved",
        "A trial may use 1.0 GiB.",
        "2 completed",
        "1 pruned: pruner trial 2 0.5000 after epoch 2",
        "1 failed trial 4 RuntimeError: out of luck",
    ],
)
def test_the_live_page_tells(study: str, said: str) -> None:
    assert said in study


def test_how_far_a_running_trial_is_inside_its_epoch_is_told_and_drawn(own_sample: Sample) -> None:
    number = own_sample.start(accuracies=[0.5], progress=1.4)
    client = Client(site_of(own_sample))
    page = client.get("/nas/1").text
    assert "epoch 1 of 4, and 40 % of the next" in words(page)
    assert '<rect class="fill" x="0.00" width="350.00" height="10"><title>epochs</title>' in page
    assert "Running, after 1 epoch and 40 % of the next." in words(client.get(f"/nas/1/trials/{number}").text)


@pytest.mark.parametrize("path", ["/nas/1", "/nas/1/trials/1", "/nas/1/trials/3"])
def test_the_live_part_is_what_the_page_shows(client: Client, path: str) -> None:
    page, live = client.get(path).text, client.get(f"{path}/live").text
    assert f'data-live="{path}/live"' in page
    timeless = [re.sub(r"\d+:\d\d|\d+h", "", text) for text in (page, live)]
    assert timeless[1].strip() in timeless[0]


def test_a_search_that_runs_is_said(own_sample: Sample) -> None:
    folder = own_sample.folder / own_sample.name
    folder.mkdir()
    (folder / "driver.txt").write_text("process 1 on elsewhere since 2026-01-01 00:00:00+00:00\n")
    page = Client(site_of(own_sample)).get("/nas/1").text
    assert "process 1 on elsewhere since 2026" in page
    assert "no search is running" not in page


def test_a_search_that_runs_tells_how_long_it_will_go_on(own_sample: Sample) -> None:
    folder = own_sample.folder / own_sample.name
    folder.mkdir()
    (folder / "driver.txt").write_text("process 1 on elsewhere since 2026-01-01 00:00:00+00:00\n")
    said = Forecast(
        trials=12, seconds=600, low=500, high=700, known=True, pruned=True, starts=(5.0,), mean=600.0
    )
    client = Client(site_of(own_sample))
    assert "left Running" not in words(client.get("/nas/1").text)
    began = now() - timedelta(seconds=3)
    own_sample.set(searched_at=began, forecast=asdict(said), devices=["cpu"])
    # one runs and eight are to come, of which the first takes 5 s
    assert "3 of 12 trials about 1h 10m left" in words(client.get("/nas/1").text)
    own_sample.set_recipe(time_limit=60)
    assert re.search("3 of 12 trials about 0:[345]. left", words(client.get("/nas/1").text))


def test_every_kind_of_end_has_its_row(own_sample: Sample) -> None:
    for reason in ("diverged: the loss is nan", "flat: no better than epoch 1", "pruner: 0.1 after epoch 1"):
        own_sample.prune(0.1, reason=reason)
    for outcome in (Outcome.DOES_NOT_FIT, Outcome.DUPLICATE, Outcome.INTERRUPTED):
        own_sample.end(own_sample.start(), outcome, reason=f"because of {outcome.value}")
    said = words(Client(site_of(own_sample)).get("/nas/1").text)
    for row in (
        "2 pruned: pruner trial 7 0.1 after epoch 1",
        "1 pruned: diverged trial 5 the loss is nan",
        "1 pruned: flat trial 6 no better than epoch 1",
        "1 does not fit trial 8 because of does_not_fit",
        "1 duplicate trial 9",
        "1 interrupted trial 10",
    ):
        assert row in said


def test_what_is_not_known_is_not_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    sample = Sample(tmp_path_factory.mktemp("bare"))
    client = Client(site_of(sample))
    assert "no trial completed yet" in words(client.get("/nas/1").text)
    nothing = dict.fromkeys(("predicted", "predicted_memory", "plan", "worker", "device", "num_parameters"))
    sample.start(**nothing)
    sample.study.enqueue_trial({})
    said = words(client.get("/nas/1").text)
    assert "trial 0" in said
    assert "1 trial waiting" in said
    assert "reserved" not in said
    assert client.get("/nas/1/trials/0").status_code == client.get("/nas/1/trials/1").status_code == 200


def test_a_study_in_postgresql_is_shown_as_well(postgres_url: str, tmp_path: Path) -> None:
    sample = Sample(tmp_path, storage=open_database(postgres_url, create=True))
    sample.complete(0.5, 0.75)
    storage = open_database(postgres_url, create=False)
    client = Client(make_site(storage, sample.name, tmp_path))
    assert "Best accuracy 0.7500" in words(client.get(f"/nas/{sample.study_id}").text)
    told = client.get(f"/api/studies/{sample.study_id}").get_json()
    assert "multiply-adds" in told["trials"][0]["note"]["body"]
    assert client.get("/nas/2147483647").status_code == client.get("/nas/99999999999").status_code == 404


def test_a_trials_page_shows_layers_training_memory_and_curve(client: Client) -> None:
    page = client.get("/nas/1/trials/1")
    said = words(page.text)
    assert "Completed after 4 epochs with a validation accuracy of 0.9000." in said
    assert "layer kind output parameters multiply-adds" in said
    assert "predicted for the process 320 MiB" in said
    assert page.text.count('class="line"') == 1
    assert '<img src="/nas/1/trials/1/network.svg"' in page.text


@pytest.mark.parametrize(
    "path",
    ["/nas/99", "/nas/1/trials/99", "/nas/1/trials/-1", "/nas/x", "/nas/1/trials/99/network.svg",
     "/nas/files/frame.html", "/nas/files/..", "/nas/files/%2e%2e/pages.py", "/nas/files/nothing.css",
     "/nas/99999999999999999999999"],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize("path", ["/nas/1", "/nas/1/live", "/nas/1/trials/1", "/nas/files/page.css"])
def test_our_pages_may_load_nothing_from_elsewhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", answer.text)


def test_what_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = client.get("/nas/1/trials/1")
    again = client.get("/nas/1/trials/1", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_reasons_and_networks_are_only_text(own_sample: Sample) -> None:
    hostile = "<img src=x onerror=alert(1)>\r\n\x1b[31m"
    number = own_sample.start(device=hostile, proposal={"architecture": {"a": hostile}, "training": {}})
    own_sample.end(number, Outcome.FAILED, reason=hostile)
    own_sample.start(device=hostile)
    client = Client(site_of(own_sample))
    for path in ("/nas/1", f"/nas/1/trials/{number}"):
        page = client.get(path).text
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
        assert "\x1b" not in page


@pytest.mark.parametrize(
    ("driver", "ended", "searching"),
    [("process 1", None, True), ("process 1", "trials", False), (None, None, False)],
)
def test_a_driver_searches_until_it_leaves_word_of_the_end(
    driver: str | None, ended: str | None, searching: bool
) -> None:
    from nas.views.dashboard.snapshot import Snapshot

    assert Snapshot([], {"ended": ended}, driver).searching is searching


def test_memory_of_a_device_with_a_budget_is_one_bar(
    own_sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.views.dashboard.snapshot import Snapshot
    from nas.views.dashboard.watched import WatchedStudy

    row = WatchedStudy.row.fget  # type: ignore[attr-defined]
    resources = {"devices": ["cpu"] * 8, "budgets": {"cpu": 640 * MIB}}
    with_budget = property(lambda watched: row(watched) | resources)
    monkeypatch.setattr(WatchedStudy, "row", with_budget)
    said = words(Client(site_of(own_sample)).get("/nas/1").text)
    assert "cpu 320 MiB of 640 MiB reserved" in said
    assert Snapshot([], {}, None).devices == []
