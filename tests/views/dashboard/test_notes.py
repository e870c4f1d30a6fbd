"""What optuna-dashboard's API tells of our studies."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from optuna_dashboard import save_note
from werkzeug.test import Client

from nas.study.outcome import Outcome
from nas.views.dashboard import annotations
from nas.views.dashboard.notes import escape
from tests.views.dashboard.conftest import site_of
from tests.views.dashboard.samples import Sample


def detail(client: Client, study_id: int = 1, after: int = 0) -> dict[str, Any]:
    answer = client.get(f"/api/studies/{study_id}?after={after}")
    assert answer.status_code == 200
    content: dict[str, Any] = answer.get_json()
    return content


@pytest.fixture(scope="module")
def told(client: Client) -> dict[str, Any]:
    return detail(client)


def plain(note: str) -> str:
    """A note without its backslashes."""
    return re.sub(r"\\(.)", r"\1", note)


def rows(note: str) -> list[list[str]]:
    """The cells of all tables of a note."""
    lines = [line for line in plain(note).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_trials_note_shows_its_network_layer_by_layer(told: dict[str, Any]) -> None:
    table = rows(told["trials"][1]["note"]["body"])
    assert ["layer", "kind", "output", "parameters", "multiply-adds"] in table
    linear = next(row for row in table if row[1] == "Linear")
    assert int(linear[3].replace(",", "")) > 0
    assert any(row[0] == "total" for row in table)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "Completed after 4 epochs with a validation accuracy of 0.9000."),
        (2, "Pruned after 2 epochs: pruner: 0.5000 after epoch 2"),
        (3, "Running, after 2 epochs."),
        (4, "Failed: RuntimeError: out of luck"),
    ],
)
def test_a_trials_note_tells_why_it_ended(told: dict[str, Any], number: int, words: str) -> None:
    assert plain(told["trials"][number]["note"]["body"]).startswith(f"**{words}**")


@pytest.mark.parametrize(
    "row",
    [
        ["predicted for the process", "320 MiB"],
        ["– activations", "20 MiB"],
        ["measured: the process", "301 MiB"],
        ["measured: tensors", "25 MiB"],
        ["plan", "4 x 32 images"],
        ["optimizer", None],
        ["learning_rate", None],
        ["took", "0:30"],
    ],
)
def test_a_trials_note_tells_its_training_and_its_memory(told: dict[str, Any], row: list[str | None]) -> None:
    found = {cells[0]: cells[1] for cells in rows(told["trials"][1]["note"]["body"]) if len(cells) == 2}
    assert row[0] in found
    assert row[1] in (None, found[row[0]])


def test_the_best_trial_is_told_with_the_same_note(told: dict[str, Any]) -> None:
    assert told["best_trials"][0]["note"] == told["trials"][1]["note"]


def test_the_study_has_a_note_with_the_best_trial_drawn(told: dict[str, Any], client: Client) -> None:
    note = told["note"]["body"]
    assert "trial 1, validation accuracy 0.9000" in note
    assert ["trials", "2 completed, 1 pruned, 1 failed, 1 running"] in rows(note)
    drawing = note.split("](")[-1].rstrip(")")
    answer = client.get(drawing)
    assert (answer.mimetype, answer.text[:4]) == ("image/svg+xml", "<svg")


def test_the_study_has_four_small_figures(told: dict[str, Any]) -> None:
    figures = {each["id"]: json.loads(each["graph_object"]) for each in told["plotly_graph_objects"]}
    assert list(figures) == [
        *("best-so-far", "best-so-far-by-time", "learning-curves"),
        *("accuracy-and-parameters", "memory", "seconds"),
    ]
    assert all(figure["data"] for figure in figures.values())
    assert len(json.dumps(told["plotly_graph_objects"])) < 200_000


def test_a_poll_brings_the_notes_of_new_trials_only(client: Client) -> None:
    polled = detail(client, after=3)["trials"]
    assert [trial["number"] for trial in polled] == [3, 4]
    assert all(trial["note"]["body"] for trial in polled)


def test_nothing_is_stored(sample: Sample, told: dict[str, Any]) -> None:
    stored = sample.storage.get_study_system_attrs(sample.study_id)
    assert not [key for key in stored if key.startswith("dashboard:")]


def test_what_a_person_has_written_stays(own_sample: Sample) -> None:
    save_note(own_sample.study, "mine")
    note = detail(Client(site_of(own_sample)))["note"]
    assert note == {"version": 1, "body": "mine"}


def test_figures_are_drawn_again_when_a_trial_has_ended(own_sample: Sample) -> None:
    client = Client(site_of(own_sample))
    before = detail(client)["plotly_graph_objects"]
    own_sample.end(3, Outcome.COMPLETED, value=0.95)
    after = detail(client)["plotly_graph_objects"]
    assert before[0]["graph_object"] != after[0]["graph_object"]


def test_with_no_time_left_a_note_leads_to_the_layers(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotations, "PATIENCE", 0.0)
    client = Client(site_of(sample))
    note = detail(client)["trials"][1]["note"]["body"]
    assert "| layer |" not in note
    assert "[Its layers](/nas/1/trials/1)" in note
    assert "<td>Linear</td>" in client.get("/nas/1/trials/1").text


def test_a_space_that_has_changed_since_is_said_instead_of_the_layers(own_sample: Sample) -> None:
    own_sample.complete(0.1, digest="0" * 64)
    note = detail(Client(site_of(own_sample)))["trials"][-1]["note"]["body"]
    assert "has changed since" in note
    assert "| layer |" not in note


def test_predictions_that_are_missing_are_left_out(own_sample: Sample) -> None:
    missing = ("predicted", "predicted_memory", "predicted_seconds", "plan", "num_parameters")
    own_sample.complete(0.1, **dict.fromkeys(missing))
    note = detail(Client(site_of(own_sample)))["trials"][-1]["note"]["body"]
    assert "predicted" not in note
    assert "measured: the process" in note


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script\>alert\(1\)\</script\>"),
        ("[x](javascript:alert(1))", r"\[x\]\(javascript:alert\(1\)\)"),
        ("![x](http://evil.example/x.png)", r"\!\[x\]\(http\://evil.example/x.png\)"),
        ("a | b\n| c", r"a \| b\\n\| c"),
        ("\x1b[31m\r\n# head", r"\\x1b\[31m\\r\\n\# head"),
        ("www.evil.example", r"www\.evil.example"),
        ("`code` **bold** &amp;", r"\`code\` \*\*bold\*\* \&amp;"),
    ],
)
def test_text_from_elsewhere_is_only_text_in_a_note(hostile: str, shown: str) -> None:
    assert escape(hostile) == shown
