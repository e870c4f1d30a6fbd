"""A study by another metric than accuracy: what decides, what it is called, and who may go on with it."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

import nas as package
from nas.study.database import open_database
from tests.grids import first_of
from tests.metrics.conftest import sees
from tests.study.test_looking import age

ARGUMENTS = ["--space=mlp", "--study=study", "--epochs=2", "--workers=1", "--sampler=random", "--pruner=none"]

UNNAMED = re.compile(r"(?<!balanced )(?<![-_])accura\w+(?!.?\[?and)", re.IGNORECASE)
"""Accuracy that is not balanced, in what a person reads; not in the names of settings, columns and keys."""


def search(nas, rare: Path, *flags: str, metric: str | None = "balanced_accuracy"):
    asked = [f"--metric={metric}"] if metric else []
    return nas("search", *ARGUMENTS, f"--data={rare}", *asked, *flags)


def words_of(page: str) -> str:
    """What a browser shows of HTML, and what it reads to those who cannot see."""
    labels = " ".join(re.findall(r'aria-label="([^"]*)"', page))
    without = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", without) + labels


def test_the_metric_decides_which_trial_is_the_best(nas, rare, scripted_by):
    scripted_by(sees(False, True, False))
    code, _, err = search(nas, rare, "--trials=3")
    assert (code, err) == (0, "")
    content = json.loads(nas("show", "--json")[1])
    assert [trial["value"] for trial in content["trials"]] == [0.5, 0.8474, 0.5]
    assert content["best"]["number"] == 1
    assert content["best"]["metric"] == content["recipe"]["metric"] == "balanced_accuracy"
    assert [each["val_accuracy"] for each in content["best"]["epochs"]] == [0.89, 0.89]
    assert [each["value"] for each in content["best"]["epochs"]] == [0.8474, 0.8474]


@pytest.mark.parametrize(("target", "trained"), [("0.9", 3), ("0.8", 2)])
def test_the_target_is_of_the_metric(nas, rare, scripted_by, target, trained):
    """Whose accuracy is 0.95 has not reached a balanced accuracy of 0.8."""
    scripted_by(sees(False, True, False))
    _, out, _ = search(nas, rare, "--trials=3", f"--target-accuracy={target}")
    assert json.loads(nas("show", "--json")[1])["counts"]["completed"] == trained
    said = "The target balanced accuracy of 0.8 is reached."
    assert (said in " ".join(out.split())) == (target == "0.8")


@pytest.mark.parametrize(("patience", "outcome"), [("1", "pruned"), ("2", "completed")])
def test_a_trial_whose_metric_stands_still_is_flat_whatever_its_accuracy_does(
    nas, rare, scripted_by, patience, outcome
):
    scripted_by(sees(False))
    assert search(nas, rare, "--trials=1", "--epochs=3", f"--patience={patience}")[0] == 0
    assert json.loads(nas("show", "--json")[1])["trials"][0]["outcome"] == outcome


def test_everything_that_shows_a_value_calls_it_what_it_is(nas, rare, scripted_by, tmp_path):
    scripted_by(sees(False, True))
    code, out, err = search(nas, rare, "--trials=2", "--baseline=mlp_512")
    assert (code, err) == (0, "")
    pages = {"search": out}
    pages["quiet"] = search(nas, rare, "--trials=2", "--quiet", metric=None)[1]
    for name, flags in {"list": [], "trial": ["--trial", 1], "both": ["--trial", 0, "--trial", 1]}.items():
        pages[name] = nas("show", *flags)[1]
    assert nas("report", "--out=report.html")[0] == 0
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    pages["report"] = words_of(report)
    pages["figures"] = " ".join(re.findall(r'"text":"([^"]*)"', report))
    for name, text in pages.items():
        assert re.search("balanced accuracy|bal. acc", text, re.IGNORECASE), name
        assert [text[found.start() - 40 : found.end() + 20] for found in UNNAMED.finditer(text)] == [], name
    with sqlite3.connect(tmp_path / "studies" / "nas.db") as database:
        metrics = database.execute("SELECT DISTINCT metric FROM nas_studies").fetchall()
        assert metrics == [("balanced_accuracy",)], "of the baseline, too"
        ((value, accuracy),) = database.execute(
            "SELECT DISTINCT e.value, e.val_accuracy FROM nas_epochs e JOIN nas_studies s"
            " USING (study_uuid) WHERE s.name = 'study' AND e.number = 1"
        )
    assert (value, accuracy) == (0.8474, 0.89)


def test_the_report_tells_the_interval_of_the_metric(nas, rare, scripted_by, tmp_path):
    scripted_by(sees(True))
    search(nas, rare, "--trials=1")
    nas("report", "--out=report.html")
    text = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    (low, high) = re.search(r"interval of (\S+) to (\S+?)\.\s", text).groups()
    assert float(low) < 0.65 < 0.9 < float(high), "five images of the rare class leave much doubt"


def test_a_trial_tells_the_recall_of_each_class(nas, rare, scripted_by):
    scripted_by(sees(True))
    search(nas, rare, "--trials=1")
    page = nas("show", "--trial", 0)[1]
    assert re.search(r"\b0 +95 +0.8947\b", page)
    assert re.search(r"\b1 +5 +0.8000\b", page)
    assert json.loads(nas("show", "--trial", 0, "--json")[1])["recalls"] == [
        {"name": "0", "images": 95, "recall": 85 / 95},
        {"name": "1", "images": 5, "recall": 0.8},
    ]


@pytest.mark.parametrize(
    "flag", first_of(1, ["--class-weights=balanced", "--metric=accuracy", "--metric=macro_f1"])
)
def test_what_makes_trials_incomparable_is_refused_in_one_line(nas, rare, scripted_by, flag):
    scripted_by(sees(True))
    search(nas, rare, "--trials=1")
    code, _, err = search(nas, rare, "--trials=2", flag, metric=None)
    assert (code, err.count("\n")) == (2, 1)
    assert "could not be compared with new ones" in err
    assert search(nas, rare, "--trials=2", metric=None)[0] == 0, "left out, it is that of the study"
    assert nas("show", "--json")[1].count('"metric": "balanced_accuracy"') == 4


def test_a_study_from_before_there_were_metrics_means_accuracy_and_goes_on(nas, rare, scripted_by, tmp_path):
    scripted_by(sees(False, True))
    search(nas, rare, "--trials=2", metric=None)
    url = f"sqlite:///{tmp_path}/studies/nas.db"
    with sqlite3.connect(tmp_path / "studies" / "nas.db") as database:  # values were accuracies
        database.execute("UPDATE nas_studies SET recipe = json_remove(recipe, '$.metric', '$.class_weights')")
        database.execute("UPDATE nas_trials SET value = 0.95 - 0.06 * number")
    age(url, 6)
    study = package.load_study(folder=tmp_path / "studies")
    assert [record.metric for record in study.store.trials()] == ["accuracy", "accuracy"]
    assert [record.epochs[-1].value for record in study.store.trials()] == [0.95, 0.89]
    assert study.trials[0].recalls == []
    assert "validation accuracy 0.9500" in nas("show", "--trial", 0)[1]
    code, _, err = search(nas, rare, "--trials=3")
    assert (code, err.count("\n")) == (2, 1), "by another metric it cannot go on"
    assert "metric 'accuracy' (asked: 'balanced_accuracy')" in err
    assert search(nas, rare, "--trials=3", metric=None)[0] == 0
    open_database(url).close()
    content = json.loads(nas("show", "--json")[1])
    assert [trial["outcome"] for trial in content["trials"]] == ["completed"] * 3
    assert content["best"]["number"] == 0


@pytest.mark.parametrize(
    ("flags", "advised"),
    first_of(
        1,
        [
            ([], "% of the training images are of class '0': a network"),
            (
                ["--class-weights=balanced"],
                "A study with --metric balanced_accuracy looks at all classes alike.",
            ),
            (["--metric=macro_f1"], None),
        ],
    ),
)
def test_a_majority_is_told_of_once_where_accuracy_says_little(nas, rare, scripted_by, flags, advised):
    scripted_by(sees(True))
    first = " ".join(search(nas, rare, "--trials=1", *flags, metric=None)[1].split())
    assert first.count("training images are of class") == (advised is not None)
    assert (advised or "") in first
    again = search(nas, rare, "--trials=2", *flags, metric=None)[1]
    assert "training images are of class" not in again, "the metric of the study is what it is"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("11=3", "No class named '11'. Did you mean '1'? Known: 0, 1."),
        ("1=0", "class_weights cannot be"),
        ("1", "class_weights cannot be"),
    ],
)
def test_a_wrong_weight_is_refused_before_anything_is_made(nas, rare, scripted_by, setting, said):
    scripted_by(sees(True))
    code, _, err = search(nas, rare, f"--class-weights={setting}")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert nas("show", "study")[0] == 2, "there is no such study"
