"""What a new study trains first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

import nas as package
from nas.driver.prepare import prepared
from nas.errors import BrokenFile
from nas.network.middle import cheap_in_the_middle, multiply_adds
from nas.recipe import Recipe
from nas.space import Proposal
from nas.space.load import load_space
from nas.space.parameters import smallest
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from tests.conftest import DIGITS, Nas
from tests.scripted import learns, outcomes, run

CNN_FC = load_space("cnn_fc")

SPACE = """
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Net:
    width: int

    def build(self, data):
        pixels = data.shape[0] * data.shape[1] * data.shape[2]
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, self.width), nn.Linear(self.width, 10))

def suggest(trial, data):
    width = trial.suggest_int("width", 1, 1000)
    rate = trial.suggest_float("rate", 1e-4, 1e-2, log=True)
    return Proposal(Net(width), Training(batch_size=8, optimizer="sgd", learning_rate=rate))
"""
STARTS = """
def starts(data):
    return [{"width": 3, "rate": 0.001, "spare": 1}]
"""


def begun(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """The parameters of the trials that a study begins with, before anything is trained."""
    given = {"folder": folder, "epochs": 1, "workers": 1, "study": "new", "device": "cpu"} | settings
    with prepared(Recipe.load(**given), None) as run:
        return [record.params for record in run.store.trials()]


def space(folder: Path, text: str) -> str:
    file = folder / "mine.py"
    file.write_text(text)
    return str(file)


def test_a_study_begins_with_the_starts_of_its_space_in_their_order(tmp_path: Path) -> None:
    assert begun(tmp_path, space="cnn_fc") == CNN_FC.starts(DIGITS)


def test_a_study_begins_with_no_more_starts_than_it_is_to_train(tmp_path: Path) -> None:
    assert begun(tmp_path, space="cnn_fc", trials=2) == (CNN_FC.starts(DIGITS) or [])[:2]


def test_a_start_of_a_users_space_is_what_its_suggest_asks_for(tmp_path: Path) -> None:
    assert begun(tmp_path, space=space(tmp_path, SPACE + STARTS)) == [{"width": 3, "rate": 0.001}]


def test_a_space_without_starts_begins_with_the_cheapest_of_a_few_from_its_middle(tmp_path: Path) -> None:
    first, second = begun(tmp_path, space=space(tmp_path, SPACE))
    assert 250 <= first["width"] <= second["width"] <= 750
    mine = load_space(str(tmp_path / "mine.py"))
    assert [first, second] == cheap_in_the_middle(mine, DIGITS), "the same every time"
    middle = mine.suggest(FixedTrial({"width": 500, "rate": 1e-3}), DIGITS)
    cost = multiply_adds(mine, mine.suggest(FixedTrial(second), DIGITS), DIGITS)
    assert cost < multiply_adds(mine, middle, DIGITS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STARTS.replace("3,", "3000,"), r"starts\(\)\[0\] is no proposal: .*3000"),
        (STARTS.replace('"width": 3, ', ""), r"starts\(\)\[0\] is no proposal: .*'width'"),
        ("\ndef starts(data):\n    return {}\n", r"starts\(\) must return a list of dicts"),
        ("\ndef starts(data):\n    return 1 / 0\n", r"mine\.py, line \d+: ZeroDivisionError"),
    ],
)
def test_starts_that_are_none_are_refused_before_there_is_a_study(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BrokenFile, match=message):
        begun(tmp_path, space=space(tmp_path, SPACE + text))
    with pytest.raises(package.errors.StudyError):
        package.load_study(folder=tmp_path)


def test_a_network_that_cannot_be_built_is_shown_with_its_line(tmp_path: Path) -> None:
    file = space(tmp_path, SPACE.replace("nn.Flatten()", "nn.Flatter()"))
    with pytest.raises(BrokenFile, match=r"mine\.py, line \d+: AttributeError"):
        begun(tmp_path, space=file)


# the user's own --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("log2_filters = 6", [{"log2_filters": 6}]),
        ("[one]\nlog2_filters = 6\n[two]\ndropout = 1e-1", [{"log2_filters": 6}, {"dropout": 0.1}]),
        ("[[start]]\noptimizer = 'adam'\n[[start]]\ndropout = 0", [{"optimizer": "adam"}, {"dropout": 0.0}]),
    ],
)
def test_a_file_of_starts_comes_first(tmp_path: Path, text: str, first: list[dict[str, Any]]) -> None:
    (tmp_path / "my.toml").write_text(text)
    found = begun(tmp_path, space="cnn_fc", start=[str(tmp_path / "my.toml")])
    assert found == [*first, *(CNN_FC.starts(DIGITS) or [])]


def test_the_sampler_draws_what_a_start_leaves_out(make_store: Callable[..., StudyWriter]) -> None:
    store = make_store(space="cnn_fc", trials=1, epochs=1)
    store.enqueue({"log2_filters": 6, "dropout": 0.1})
    run(store, CNN_FC, learns(0.5))
    (record,) = store.trials()
    assert (record.params["log2_filters"], record.params["dropout"]) == (6, 0.1)
    assert CNN_FC.suggest(FixedTrial(record.params), DIGITS).digest == record.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log2_filter = 6", "Did you mean 'log2_filters'?"),
        ("log2_filters = 9", "log2_filters cannot be 9. It lies between 3 and 6."),
        ("kernel_size = 4", "kernel_size cannot be 4. It lies between 3 and 5, in steps of 2."),
        ("log2_filters = true", "log2_filters cannot be True"),
        ("optimizer = 'lion'", "optimizer cannot be 'lion'. Choices: sgd, adam, adamw, nadam, muon."),
        ("a = 1\n[b]\nlog2_filters = 4", "must hold a table of parameters for each proposal"),
        ("", "must hold a table of parameters for each proposal"),
        ("a", "is not valid TOML"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_start_is_one_clear_line(nas: Nas, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "my.toml").write_text(text)
    code, out, err = nas("search", "--start", "my.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert "my.toml" in err
    assert not (tmp_path / "studies" / "cnn_fc-digits" / "weights").exists()


def test_a_warm_start_brings_the_best_five_of_another_study(
    make_store: Callable[..., StudyWriter], tmp_path: Path
) -> None:
    store = make_store("before", space="cnn_fc", trials=7, epochs=1)
    run(store, CNN_FC, lambda task: learns(task.number / 10)(task))
    best = [record.params for record in reversed(store.trials())][:5]
    assert begun(tmp_path, space="cnn_fc", warm_start="before") == [*best, *(CNN_FC.starts(DIGITS) or [])]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warm_start": "before"}, "Study 'before' searched mlp: it cannot warm-start a search of cnn_fc."),
        ({"warm_start": "befor"}, "Did you mean 'before'?"),
        ({"warm_start": "empty", "space": "mlp"}, "Study 'empty' has no completed trial to start from."),
    ],
)
def test_a_study_that_cannot_be_started_from_is_refused(
    make_store: Callable[..., StudyWriter], tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    store = make_store("before", trials=1, epochs=1)
    run(store, load_space("mlp"), learns(0.5))
    make_store("empty")
    with pytest.raises(package.errors.NasError) as refusal:
        begun(tmp_path, **settings)
    assert message in str(refusal.value)
    assert not StudyWriter.exists(store.storage, "new")


def test_on_resume_the_same_starts_or_none_are_fine_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("log2_filters = 6")
    asked = {"start": [str(tmp_path / "my.toml")]}
    first = begun(tmp_path, **asked)
    (tmp_path / "my.toml").unlink()  # it has done its work
    assert begun(tmp_path, **asked) == begun(tmp_path) == first
    for other in ({"start": ["other.toml"]}, {"warm_start": "new"}):
        with pytest.raises(package.errors.StudyError, match=r"has begun already: --(start|warm-start) is"):
            begun(tmp_path, **other)


# the memory cap --------------------------------------------------------------------------------------------


def test_where_no_start_fits_the_smallest_network_is_proposed_next_and_once(
    make_store: Callable[..., StudyWriter],
) -> None:
    store = make_store(space="cnn_fc", trials=3, epochs=1)
    starts = CNN_FC.starts(DIGITS) or []
    for params in starts:
        store.enqueue(params)
    least = smallest(CNN_FC, DIGITS)
    wanted = CNN_FC.suggest(FixedTrial(least), DIGITS)

    def need(number: int, proposal: Proposal) -> int:
        return 10 if proposal == wanted or number > len(starts) else 1000

    run(store, CNN_FC, learns(0.5), need=need)
    records = store.trials()
    assert outcomes(store) == ["does_not_fit"] * len(starts) + ["completed"] * 3
    assert records[len(starts)].params == least
    assert sum(record.params == least for record in records) == 1


def test_a_search_whose_starts_fit_does_not_propose_the_smallest(
    make_store: Callable[..., StudyWriter],
) -> None:
    store = make_store(space="cnn_fc", trials=4, epochs=1)
    for params in CNN_FC.starts(DIGITS) or []:
        store.enqueue(params)
    run(store, CNN_FC, learns(0.5), need=lambda number, _: 1000 if number == 5 or number == 1 else 10)
    assert smallest(CNN_FC, DIGITS) not in [record.params for record in store.trials()]
    assert [record.number for record in store.trials() if record.outcome is Outcome.DOES_NOT_FIT] == [1]
