"""What CONTRIBUTING says is so: each of its files, and nothing else, adds what it says."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from nas import api
from nas.datasets import known_datasets, open_data
from nas.driver.listeners import told_to
from nas.events import Notice, TrialEnded
from nas.exporters.registry import known_exporters
from nas.machine import plugins
from nas.recipe import ENGINES, LOGGERS, PRUNERS, SAMPLERS, Recipe
from nas.space.load import known_spaces, load_space
from nas.study.outcome import Outcome
from nas.testing import ExporterContract, PrunerContract, SamplerContract

TEXT = (Path(__file__).parents[1] / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(autouse=True)
def examples(tmp_path_factory, monkeypatch):
    """Every example lies beside our own files."""
    folder = tmp_path_factory.mktemp("added")
    before = set(sys.modules)
    for path, content in FILES.items():
        file = folder / path
        file.parent.mkdir(parents=True)
        file.write_text(content)
        package = importlib.import_module(path.rpartition("/")[0].replace("/", "."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
    yield
    for path in FILES:
        name = path.removesuffix(".py").replace("/", ".")
        if name in sys.modules and name not in before:
            del sys.modules[name]


def test_every_seam_has_an_example():
    assert {path.rpartition("/")[0] for path in FILES} == {
        *("search_spaces", "nas/datasets/sources", "nas/exporters/formats", "nas/pruners", "nas/samplers"),
        *("nas/engines/kinds", "nas/loggers"),
    }


@pytest.mark.usefixtures("scripted")
def test_all_of_them_make_a_search(tmp_path):
    study = api.search(
        space="one_layer",
        data="stripes",
        folder=tmp_path,
        trials=3,
        epochs=2,
        workers=2,
        threads=1,
        device="cpu",
        sampler="genetic",
        pruner="hopeless",
        engine="one_at_a_time",
        log=("best_so_far", "jsonl"),
    )
    assert [trial.record.outcome for trial in study.trials].count(Outcome.COMPLETED) == 3
    folder = study.store.folder
    assert float((folder / "best.txt").read_text()) == study.best.value
    assert len((folder / "events.jsonl").read_text().splitlines()) > 6
    assert study.store.recipe.engine == "one_at_a_time"


def test_they_are_listed():
    assert "one_layer" in known_spaces()
    assert "stripes" in known_datasets()
    assert "pickled" in known_exporters()
    assert load_space("one_layer").summary == "A perceptron with one hidden layer."
    for places, name in (
        (PRUNERS, "hopeless"),
        (SAMPLERS, "genetic"),
        (ENGINES, "one_at_a_time"),
        (LOGGERS, "best_so_far"),
    ):
        assert name in plugins.known(*places)
        assert plugins.load("plug-in", name, *places).make


def test_the_source_is_decoded_and_split():
    data = open_data("stripes")
    assert data.classes == ("upright", "level")
    assert data.info.shape == (1, 8, 8)


class TestPickled(ExporterContract):
    name = "pickled"
    test_an_export_of_it_is_verified_and_whole = None  # in a fresh process, which knows nothing of it


class TestHopeless(PrunerContract):
    name = "hopeless"


class TestGenetic(SamplerContract):
    name = "genetic"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"pruner": "hopeles"}, "pruner cannot be 'hopeles', expected: 'auto', 'halving', 'hopeless'"),
        ({"sampler": "cma"}, "'genetic', 'gp', 'random' or 'tpe'"),
        ({"engine": "ray"}, "'local' or 'one_at_a_time'"),
        ({"log": "wandb"}, "'best_so_far' or 'jsonl'"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_with_what_is(setting, message):
    from nas.errors import InvalidSetting

    with pytest.raises(InvalidSetting, match=re.escape(message)):
        Recipe.load(**setting)


def test_a_logger_that_fails_is_one_notice_and_is_left_out(tmp_path):
    (tmp_path / "best.txt").mkdir()
    seen = []
    tell = told_to(["best_so_far"], tmp_path, seen.append)
    ended = TrialEnded(number=0, outcome=Outcome.COMPLETED, value=0.5, reason=None, epochs=1, seconds=1.0)
    for _ in range(2):
        tell(ended)
    assert [type(event) for event in seen] == [TrialEnded, Notice, TrialEnded]
    assert "The logger best_so_far is left out from here on" in seen[1].text
