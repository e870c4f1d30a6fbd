"""Finding search spaces by name and by file, and what other distributions offer by entry points."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import FixedTrial

import nas
from nas.datasets import known_datasets, open_data
from nas.errors import BrokenFile, InvalidSetting, StorageError, UnknownName
from nas.exporters.registry import known_exporters, load_exporter
from nas.space.load import known_spaces, load_space
from tests.conftest import DIGITS

MINIMAL = '''"""A space of my own."""
from dataclasses import dataclass
from torch import nn
from nas.space import Proposal, Training

@dataclass(frozen=True)
class Flat:
    width: int

    def build(self, data):
        channels, height, width = data.shape
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, data.num_classes))

def suggest(trial, data):
    training = Training(batch_size=32, optimizer="sgd", learning_rate=trial.suggest_float("lr", 0.01, 0.1))
    return Proposal(Flat(trial.suggest_int("width", 1, 4)), training)
'''


def test_the_shipped_spaces_are_found_by_being_there():
    assert {"cnn_fc", "mlp"} <= set(known_spaces())


def test_an_unknown_space_offers_the_nearest_name_and_all_known_ones():
    with pytest.raises(UnknownName, match=r"'cnn_fx'. Did you mean 'cnn_fc'\? Known: .*mlp"):
        load_space("cnn_fx")


def test_a_file_is_a_search_space_named_by_its_stem(tmp_path):
    file = tmp_path / "my_space.py"
    file.write_text(MINIMAL)
    space = load_space(str(file))
    assert (space.name, space.source, space.version, space.summary) == (
        "my_space",
        str(file),
        1,
        "A space of my own.",
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def suggest(trial, data)\n    pass\n", r"space\.py, line 1: SyntaxError"),
        ("import nowhere_to_be_found\n", r"space\.py, line 1: ModuleNotFoundError"),
        ("x = 1\ny = x / 0\n", r"space\.py, line 2: ZeroDivisionError"),
        ("x = 1\n", r"space\.py: a search space needs a function suggest"),
        ("VERSION = '2'\ndef suggest(trial, data): ...\n", r"VERSION must be an int"),
    ],
)
def test_a_broken_file_is_shown_with_its_own_line(tmp_path, source, message):
    file = tmp_path / "space.py"
    file.write_text(source)
    with pytest.raises(BrokenFile, match=message):
        load_space(str(file))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return helper()\ndef helper():\n    raise KeyError('depth')", r"space\.py, line 4: KeyError"),
        ("return 42", r"must return a nas\.space\.Proposal, not int"),
        (
            "from nas.space import Proposal, Training\n"
            "    return Proposal(object(), Training(batch_size=1, optimizer='sgd', learning_rate=1.0))",
            "its architecture must be a dataclass of plain values",
        ),
        ("import optuna\n    raise optuna.TrialPruned('no')", r"space\.py, line 3: TrialPruned: no"),
    ],
)
def test_an_error_in_suggest_is_shown_with_its_own_line(tmp_path, body, message):
    file = tmp_path / "space.py"
    file.write_text(f"def suggest(trial, data):\n    {body}\n")
    with pytest.raises(BrokenFile, match=message):
        load_space(str(file)).suggest(None, DIGITS)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), BrokenFile("Sampler 'dice': 'six'")])
def test_what_the_database_or_the_sampler_does_is_not_blamed_on_the_space(tmp_path, error):
    class Trial:
        def suggest_int(self, *_):
            raise error

    file = tmp_path / "space.py"
    file.write_text("def suggest(trial, data):\n    trial.suggest_int('width', 1, 9)\n")
    with pytest.raises(type(error)) as raised:
        load_space(str(file)).suggest(Trial(), DIGITS)
    assert raised.value is error


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidSetting, match="there is no such file"):
        load_space(str(tmp_path / "nothing.py"))


def test_images_too_small_for_a_space_of_ours_are_one_clear_line():
    space = load_space("cnn_fc")
    with pytest.raises(InvalidSetting, match="at least 4x4 pixels, not 3x3"):
        space.suggest(FixedTrial({}), replace(DIGITS, shape=(1, 3, 3)))


SOURCE = """
import numpy as np
from PIL import Image
from nas.datasets.source import Listing

class Stripes:
    name = "stripes"
    augmentations = ("shift",)

    def __init__(self, downloads):
        self._pixels = np.zeros((60, 8, 8), np.uint8)
        for index, pixels in enumerate(self._pixels):
            pixels[:: 2 + index % 2] = 200 + index // 2

    def key(self):
        return "1"

    def list_images(self):
        return Listing(
            place=self.name,
            classes=("narrow", "wide"),
            labels=np.arange(60) % 2,
            splits=np.zeros(60, np.int8),
            names=[str(index) for index in range(60)],
            read=lambda index: Image.fromarray(self._pixels[index]),
        )
"""

FORMAT = """
import torch
from nas.exporters.runtime import Runtime

LOSSY = False

def check():
    pass

def export(trained, folder, *, uint8):
    torch.save(trained.model, folder / "model.pickle")

def load(folder, threads):
    model = torch.load(folder / "model.pickle", weights_only=False)
    return Runtime(lambda images: model(torch.from_numpy(images)).detach().numpy(), uint8=False)

def usage(*, uint8):
    return "logits = torch.load('model.pickle', weights_only=False)(images)"
"""

ENTRY_POINTS = """
[nas.search_spaces]
flat = demo_space
broken_space = demo_nowhere
class_space = demo_data:Stripes

[nas.datasets]
stripes = demo_data:Stripes
broken_data = demo_data:Nothing

[nas.exporters]
pickle = demo_format
broken_format = demo_nowhere
"""


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution, installed here and for child processes."""
    site = tmp_path / "site"
    (site / "demo-1.0.dist-info").mkdir(parents=True)
    (site / "demo-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (site / "demo-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, content in (("demo_space", MINIMAL), ("demo_data", SOURCE), ("demo_format", FORMAT)):
        (site / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)


@pytest.mark.usefixtures("demo")
def test_another_distribution_offers_a_space_a_dataset_and_a_format(tmp_path):
    assert "flat" in known_spaces()
    assert "stripes" in known_datasets()
    assert "pickle" in known_exporters()
    study = nas.search(
        space="flat", data="stripes", trials=1, epochs=2, workers=1, threads=1, folder=tmp_path / "studies"
    )
    export = study.best.export(tmp_path / "out", ["pickle"])
    assert "model.pickle" in export.files
    assert study.best.data.name == "stripes"


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: load_space("broken_space"), r"Search space 'broken_space' \(demo_nowhere\)"),
        (lambda: load_space("class_space"), r"'class_space' \(demo_data:Stripes\): it is no module"),
        (lambda: open_data("broken_data"), r"Dataset 'broken_data' \(demo_data:Nothing\)"),
        (lambda: load_exporter("broken_format"), r"Export format 'broken_format' \(demo_nowhere\)"),
    ],
)
def test_an_entry_point_that_fails_is_named_with_what_it_points_at(load, message):
    with pytest.raises(BrokenFile, match=message):
        load()


@pytest.mark.usefixtures("demo")
def test_spaces_are_listed_though_some_of_them_fail(nas):
    code, out, _ = nas("spaces")
    assert code == 0
    for said in ("cnn_fc", "flat", "Search space 'broken_space' (demo_nowhere)"):
        assert said in out
