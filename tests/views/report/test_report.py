"""`nas report`: one page that opens anywhere, and tells the numbers of `nas show --json`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from nas.api.study import Study, load_study
from nas.study import tables
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.views.report import sections
from nas.views.report.writing import write_report
from tests.browser import watched_page
from tests.conftest import Nas
from tests.grids import first_of
from tests.views.report.samples import START, add_baseline, sample_study


class Page(HTMLParser):
    """The numbers for programs, the headings and the text of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.numbers: dict[str, str] = {}
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._tag = ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "data":
            self.numbers[found["id"] or ""] = found["value"] or ""
        self.addresses += [found[name] or "" for name in ("src", "href") if name in found]
        self._tag = tag

    def handle_data(self, data: str) -> None:
        if self._tag in ("h1", "h2", "h3"):
            self.headings.append(data.strip())
            self._tag = ""
        if self._tag not in ("script", "style"):
            self.text += data


def test_a_report_tells_what_each_part_of_the_search_cost(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_report(study, file)
    page = Page(file)
    assert "History by time" in page.headings
    rows = sections.cost_by_part([each.record for each in study.trials])
    assert [row["part"] for row in rows][:2] == ["completed", "pruned"]
    assert 98 <= sum(int(row["share"].rstrip("%")) for row in rows) <= 102
    said = page.text
    for row in rows:
        assert "".join(row.values()) in said


def test_the_numbers_of_a_report_are_those_of_nas_show_json(study: Study, nas: Nas, tmp_path: Path) -> None:
    folder = study.store.folder.parent
    code, out, _ = nas("show", "--json", "--folder", folder)
    assert code == 0
    shown = json.loads(out)
    assert nas("report", "--folder", folder, "-o", tmp_path / "report.html")[0] == 0
    page = Page(tmp_path / "report.html")
    best, trials = shown["best"], shown["trials"]
    expected = {
        name: best[name] for name in ("number", "value", "num_parameters", "multiply_adds", "seconds")
    }
    epochs = sum(len(trial["epochs"]) for trial in trials)
    expected |= {
        "trials": shown["recipe"]["trials"],
        "seed": shown["recipe"]["seed"],
        "memory": max(epoch["peak_allocated"] for epoch in best["epochs"]),
        "epochs": epochs,
        "images": epochs * shown["data"]["info"]["num_train"],
        "worker_hours": sum(trial["seconds"] or 0 for trial in trials) / 3600,
    }
    assert {name: float(page.numbers[name]) for name in expected} == pytest.approx(expected)
    counts = {name.replace("_", " "): number for name, number in shown["counts"].items() if number}
    told = json.loads(_figure(tmp_path / "report.html", "outcomes"))["data"][0]
    bars = dict.fromkeys(counts, 0)
    for label, number in zip(told["y"], told["x"], strict=True):
        bars[label.split(":")[0]] += number
    assert bars == counts


def test_the_data_of_a_figure_cannot_end_its_script(report: Path) -> None:
    assert "<" not in _figure(report, "learning_curves")
    assert "\\u003c" in _figure(report, "learning_curves")


def _figure(file: Path, name: str) -> str:
    found = re.search(rf'id="data-{name}">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_a_report_answers_its_questions_in_order(report: Path) -> None:
    headings = [heading for heading in Page(report).headings if heading]
    assert headings == [
        *["cnn_fc-cifar10", "The answer", "The question", "How it was found", "History"],
        *["History by time", "Learning curves"],
        *[
            "Importances",
            "Accuracy against parameters",
            "Parallel coordinates",
            "Timeline",
            "Memory",
            "Seconds",
        ],
        *["Outcomes", "What it cost", "How far to trust it"],
    ]


@pytest.mark.parametrize(("width", "dark"), first_of(1, [(390, True), (1280, False)]))
def test_a_report_opens_from_disk_without_a_network(
    browser: Any, report: Path, width: int, dark: bool
) -> None:
    with watched_page(browser, width=width, dark=dark, offline=True) as watched:
        page = watched.page
        page.goto(report.as_uri())
        page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 8")
        assert watched.errors == []
        assert watched.requests == [report.as_uri()]
        drawn = (
            "[...document.querySelectorAll('.plot')].map(plot => plot.querySelectorAll('path, text').length)"
        )
        assert min(page.evaluate(drawn)) > 5
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".drawing svg:visible").count() == 1
        labels = page.evaluate("[...document.querySelectorAll('[role=img]')].map(e => e.ariaLabel)")
        assert all(labels)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_every_text_of_a_report_can_be_read(browser: Any, report: Path, dark: bool) -> None:
    """Contrast of at least 4.5, as WCAG 2 asks for."""
    with watched_page(browser, dark=dark) as watched:
        watched.page.goto(report.as_uri())
        watched.page.wait_for_selector(".plot .main-svg text")
        assert watched.page.evaluate(FAINT_TEXTS) == []


FAINT_TEXTS = """() => {
    const light = colour => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
        const [r, g, b] = parts.map(p => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = e => {
        const colour = getComputedStyle(e).backgroundColor;
        return !e.parentElement || !/, 0\\)$/.test(colour) ? colour : behind(e.parentElement);
    };
    const texts = [...document.querySelectorAll("p, dt, dd, h1, h2, h3, th, td, a, figcaption, svg text")];
    return texts.filter(e => e.textContent.trim() && e.getClientRects().length).filter(e => {
        const style = getComputedStyle(e);
        const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(behind(e))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    }).map(e => e.textContent);
}"""


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)<script>{{ 7 * 7 }}"


@pytest.mark.slow
def test_hostile_names_notes_and_reasons_stay_text(browser: Any, tmp_path: Path) -> None:
    study = sample_study(tmp_path, 20, name=HOSTILE)
    store = study.store
    with store.engine.begin() as connection:
        evil = f"</script>{HOSTILE}"
        data = store.data | {"notes": [evil], "info": store.data["info"] | {"name": evil}}
        connection.execute(update(tables.studies).values(data=data))
        connection.execute(update(tables.trials).values(reason=evil, device=evil))
    report = write_report(load_study(HOSTILE, folder=tmp_path), tmp_path / "report.html")
    with watched_page(browser, offline=True) as watched:
        watched.page.goto(report.as_uri())
        watched.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 8")
        assert watched.errors == []
        assert watched.requests == [report.as_uri()]
        assert watched.page.inner_text("h1") == HOSTILE
        assert watched.page.locator("img").count() == 0


@pytest.mark.slow
def test_even_a_script_that_got_into_the_page_would_not_run(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text().replace("</main>", "<script>document.title = 'ran'</script></main>"))
    with watched_page(browser) as watched:
        watched.page.goto(broken.as_uri())
        assert watched.page.title() == "cnn_fc-cifar10: a report"
        assert any("Content Security Policy" in error for error in watched.errors)


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_a_study_with_little_to_tell_has_a_report_too(trials: int, tmp_path: Path) -> None:
    page = Page(write_report(sample_study(tmp_path, trials), tmp_path / "report.html"))
    assert page.headings[0] == "cnn_fc-cifar10"


def test_a_network_that_cannot_be_rebuilt_is_told_and_not_drawn(tmp_path: Path) -> None:
    study = sample_study(tmp_path, 20)
    with study.store.engine.begin() as connection:
        connection.execute(update(tables.trials).values(digest="0" * 64))
    page = Page(write_report(study, tmp_path / "report.html"))
    assert "It cannot be drawn: Trial" in page.text


def test_a_report_does_not_tell_of_the_machine_it_was_made_on(report: Path, study: Study) -> None:
    assert str(study.store.folder.parent) not in report.read_text(encoding="utf-8")


def test_baselines_stand_beside_the_best_trial(tmp_path: Path) -> None:
    study = sample_study(tmp_path, 20)
    assert "Against baselines" not in Page(write_report(study, tmp_path / "report.html")).headings
    add_baseline(study, "mlp")
    page = Page(write_report(study, tmp_path / "report.html"))
    assert "Against baselines" in page.headings
    (baseline,), best = study.to_json()["baselines"], study.best
    assert best is not None
    assert best.value is not None
    for text in ("mlp", f"{baseline['value']:.4f}", f"{best.value - baseline['value']:+.4f}"):
        assert text in page.text


def test_a_final_evaluation_adds_the_test_value_with_its_name(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals = [
        {"name": "best of the random start", "trial": 7, "gain": 0.0, "interval": [0.0, 0.0]},
        {"name": "baseline mlp", "trial": None, "gain": 0.25, "interval": [0.2, 0.3]},
    ]
    final = {"metric": "macro_f1", "test_value": 0.8125, "interval": [0.80, 0.82]}
    final |= {"trial": 7, "gains": rivals, "openings": 1}
    content = study.to_json()
    monkeypatch.setattr(Study, "to_json", lambda self: content | {"final": final})
    page = Page(write_report(study, tmp_path / "report.html"))
    assert page.numbers["test_value"] == "0.8125"
    assert "test macro F1" in page.text
    assert "0.8000 to 0.8200" in page.text
    assert "gain above the baseline mlp+0.2500 (+0.2000 to +0.3000)" in page.text
    assert "random start" not in page.text, "the final model is no gain above itself"


def trial(device: str, start: int, end: int) -> TrialRecord:
    started, finished = (START + timedelta(seconds=second) for second in (start, end))
    return TrialRecord(
        number=0, outcome=Outcome.PRUNED, params={}, device=device, started_at=started, finished_at=finished
    )


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([("a", 0, 10)], 10),
        ([("a", 0, 10), ("a", 5, 20), ("a", 6, 8)], 20),
        ([("a", 0, 10), ("a", 100, 110)], 20),
        ([("a", 0, 10), ("b", 0, 10)], 20),
        ([], 0),
    ],
)
def test_a_device_that_trains_several_trials_at_once_is_counted_once(
    spans: list[tuple[str, int, int]], seconds: float
) -> None:
    assert sections.device_seconds([trial(*span) for span in spans]) == seconds


def test_two_cards_of_one_name_are_counted_each_for_itself() -> None:
    records = [
        replace(trial("NVIDIA H100", 0, 3600), placed_on="cuda:0"),
        replace(trial("NVIDIA H100", 0, 3600), placed_on="cuda:0"),
        replace(trial("NVIDIA H100", 0, 3600), placed_on="cuda:1"),
    ]
    assert sections.device_seconds(records) == 2 * 3600


# Writing ---------------------------------------------------------------------------------------------------


def test_a_report_lands_in_the_current_folder_under_the_name_of_its_study(nas: Nas, study: Study) -> None:
    code, out, _ = nas("report", study.name, "--folder", study.store.folder.parent)
    assert code == 0
    assert out.startswith("cnn_fc-cifar10-report.html")
    assert Path("cnn_fc-cifar10-report.html").stat().st_size > 10**6


@pytest.mark.parametrize(
    ("where", "says"),
    [("folder", "is no file"), ("nowhere/report.html", "does not exist"), ("pipe", "is no file")],
)
def test_a_place_that_cannot_be_written_is_one_clear_error(
    study: Study, nas: Nas, tmp_path: Path, where: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    code, out, err = nas("report", "--folder", study.store.folder.parent, "-o", where)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_report_replaces_an_earlier_one_as_a_whole(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("an earlier one")
    write_report(study, file)
    assert file.read_text(encoding="utf-8").endswith("</html>")
    assert [left.name for left in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("room", ["nas.views.figures", "nas.views.report.writing"])
def test_without_plotly_the_cure_is_named(room: str) -> None:
    code = f"""
import sys
sys.modules["plotly"] = None
from nas.errors import NasError
try:
    import {room}
except NasError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plotly: pip install 'optuna-nas[report]'" in done.stdout
