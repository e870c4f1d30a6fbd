"""What CONTRIBUTING.md says is true: each file that it shows, alone, adds what it says."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.datasets import open_data
from nas.exporters.registry import load_exporter
from nas.exporters.trained import TrainedModel
from nas.machine import plugins
from nas.machine.plugins import Plugins
from nas.recipe import Recipe, listed
from nas.space.load import load_space
from nas.testing import ExporterContract, LoggerContract, PrunerContract, SamplerContract, SpaceContract
from tests.conftest import Nas
from tests.scripted import ScriptedEngine, learns

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")

SHOWN = re.findall(r"`((?:nas|search_spaces)/[\w/]+\.py)`[^`#]*?:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = {Path(path): source for path, source in SHOWN}
"""From the place of each file that is shown to what it holds."""

SEAMS = {each.package: each for each in vars(plugins).values() if isinstance(each, Plugins)}


def package_of(path: Path) -> str:
    return ".".join(path.parent.parts)


def example(package: str) -> Path:
    (path,) = [path for path in EXAMPLES if package_of(path) == package]
    return path


class Added:
    """Files that are added as if they lay in the packages themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *paths: Path) -> None:
        for path in paths:
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(EXAMPLES[path], encoding="utf-8")
            import_module(package_of(path)).__path__.append(str(place.parent))

    def remove(self, *paths: Path) -> None:
        for path in paths:
            package = import_module(package_of(path))
            sys.modules.pop(f"{package.__name__}.{path.stem}", None)
            vars(package).pop(path.stem, None)
            folder = str(self.folder / path.parent)
            package.__path__[:] = [each for each in package.__path__ if each != folder]


@pytest.fixture
def added(tmp_path: Path) -> Iterator[Added]:
    files = Added(tmp_path / "added")
    yield files
    files.remove(*EXAMPLES)


@pytest.fixture
def offered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them as another distribution offers them, here and in child processes: `their_` and the name."""
    site = tmp_path_factory.mktemp("site")
    facts = site / "theirs-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = ""
    for path, source in EXAMPLES.items():
        name = f"their_{path.stem}"
        points += f"[{SEAMS[package_of(path)].group}]\n{name} = {name}\n"
        (site / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    (facts / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)


def write_pixels(folder: Path) -> Path:
    """60 images of 4x4 pixels, of two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 16))
    lines = [" ".join(map(str, [("dog", "cat")[row % 2], *values])) for row, values in enumerate(pixels)]
    (folder / "numbers.pixels").write_text("\n".join(lines))
    return folder / "numbers.pixels"


def test_every_seam_is_told_of_and_shown() -> None:
    rows = re.findall(r"^\| [a-z ]+ \| `([\w/]+)/` \| (?:`([\w.]+)`)? ?\|", TEXT, re.MULTILINE)
    told = {(place.replace("/", "."), group or None) for place, group in rows}
    assert told == {(seam.package, seam.group) for seam in SEAMS.values()}
    assert {package_of(path) for path in EXAMPLES} == SEAMS.keys() - {"search_spaces.baselines"}
    assert max(source.count("\n") for source in EXAMPLES.values()) < 50


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_a_file_is_found_by_being_there(path: Path, added: Added) -> None:
    seam = SEAMS[package_of(path)]
    assert path.stem not in seam.names()
    added.add(path)
    assert path.stem in seam.names()
    assert path.stem in listed(seam), "which --help shows"
    assert all(hasattr(seam.find(path.stem), each) for each in seam.holds)


@pytest.mark.usefixtures("offered")
def test_an_entry_point_of_another_distribution_does_the_same(tmp_path: Path) -> None:
    shown = tomllib.loads(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0])
    assert shown["project"]["entry-points"].keys() <= {seam.group for seam in SEAMS.values()}
    for path in EXAMPLES:
        seam, name = SEAMS[package_of(path)], f"their_{path.stem}"
        assert name in seam.names()
        assert seam.find(name).__name__ == name
    assert load_space("their_pyramid_of_two").summary.startswith("Two fully connected layers")
    assert open_data(str(write_pixels(tmp_path))).info.shape == (1, 4, 4)
    names = {"pruner": "their_hopeless", "sampler": "their_genetic", "engine": "their_noting"}
    names |= {"metric": "their_worst_recall"}
    Recipe.load(**names, log=["their_values"])


def test_a_search_uses_all_of_them_and_goes_on_or_is_shown_without_them(
    added: Added, nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scripted(ScriptedEngine):
        def __init__(self, setup: Any, devices: Any, folder: Path) -> None:
            super().__init__(lambda task: learns(*((0.5, 0.9) if task.number == 0 else (0.6, 0.7)))(task))

    monkeypatch.setattr("nas.engines.kinds.local.LocalEngine", Scripted)  # first: it imports the other
    monkeypatch.setattr("nas.engines.local.LocalEngine", Scripted)
    added.add(*EXAMPLES)
    write_pixels(tmp_path)
    assert "pyramid_of_two" in nas("spaces")[1]

    asked = {"--space": "pyramid_of_two", "--data": "numbers.pixels", "--sampler": "genetic"}
    asked |= {"--pruner": "hopeless", "--engine": "noting", "--log": "values", "--epochs": "2"}
    asked |= {"--metric": "worst_recall"}
    flags = [*(f"{flag}={value}" for flag, value in asked.items()), "--log=jsonl", "--study=study", "--quiet"]
    code, _, err = nas("search", *flags, "--trials=2")
    assert (code, err) == (0, "")
    first, second = json.loads(nas("show", "--json")[1])["trials"]
    assert (first["outcome"], first["reason"]) == ("pruned", "pruner: 0.5000 is a guess")
    assert (second["outcome"], second["value"]) == ("completed", 0.7)
    assert second["metric"] == "worst_recall"
    compared = nas("show", "--trial", 0, "--trial", 1)[1]
    assert "time of an epoch" in compared
    assert "validation worst recall" in compared

    assert nas("search", "--study=study", "--trials=3", "--quiet")[0] == 0
    folder = tmp_path / "studies" / "study"
    assert (folder / "values.txt").read_text() == "1 0.7\n2 0.7\n"
    assert (folder / "placed.txt").read_text() == "".join(f"worker 0 takes trial {n}\n" for n in range(3))
    told = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event for event in told if event.startswith("Search")] == 2 * ["SearchStarted", "SearchEnded"]

    added.remove(
        *(path for path in EXAMPLES if package_of(path) not in ("search_spaces", "nas.datasets.sources"))
    )
    assert nas("show", "study")[0] == 0
    code, _, err = nas("search", "--study=study", "--trials=4")
    assert (code, err.count("\n")) == (2, 1)
    assert "metric cannot be 'worst_recall', expected: 'accuracy', 'balanced_accuracy' or 'macro_f1'" in err
    added.add(example("nas.metrics"))  # of a study that metric alone makes trials comparable
    code, _, err = nas("search", "--study=study", "--trials=4")
    assert (code, err.count("\n")) == (2, 1)
    assert "sampler cannot be 'genetic', expected: 'gp', 'random' or 'tpe'" in err
    others = ["--sampler=random", "--pruner=none", "--engine=local", "--log=none"]
    assert nas("search", "--study=study", "--trials=4", *others, "--quiet")[0] == 0


def test_a_format_loads_what_it_wrote(added: Added, tmp_path: Path) -> None:
    added.add(example("nas.exporters.formats"))
    exporter = load_exporter("pickled")
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), np.zeros((2, 8, 8, 1), np.uint8)
    trained = TrainedModel(
        model=model, input_shape=(1, 8, 8), classes=("a", "b", "c"), mean=(0.5,), std=(0.25,)
    )
    exporter.check()
    exporter.export(trained, tmp_path, uint8=False)
    runtime = exporter.load(tmp_path, 1)
    logits = runtime.run(runtime.prepare(images, trained.mean, trained.std))
    assert np.allclose(logits, model(torch.full((2, 1, 8, 8), -2.0)).detach())


@pytest.mark.usefixtures("offered")
class TestSampler(SamplerContract):
    name = "their_genetic"


@pytest.mark.usefixtures("offered")
class TestLogger(LoggerContract):
    name = "their_values"


@pytest.mark.slow
@pytest.mark.usefixtures("offered")
class TestPruner(PrunerContract):
    name = "their_hopeless"


@pytest.mark.slow
@pytest.mark.usefixtures("offered")
class TestFormat(ExporterContract):
    name = "their_pickled"


@pytest.mark.slow
@pytest.mark.usefixtures("offered")
class TestSpace(SpaceContract):
    name = "their_pyramid_of_two"


def test_the_suite_that_it_shows_is_one() -> None:
    (shown,) = re.findall(r"```python\n(from nas.testing.*?)```", TEXT, re.DOTALL)
    found: dict[str, Any] = {}
    exec(shown, found)
    assert issubclass(found["TestHopeless"], PrunerContract)
    assert example("nas.pruners").stem == found["TestHopeless"].name


def test_every_place_that_it_names_is_there() -> None:
    places = re.findall(r"`?((?:nas|tests|search_spaces)/[\w/.]*)", TEXT) + re.findall(r"\]\(([^)]+)\)", TEXT)
    for place in {*places} - {str(path) for path in EXAMPLES}:
        assert (ROOT / place).exists() or (ROOT / ".github" / place).exists(), place
