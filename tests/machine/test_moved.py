"""Files of others name modules by where they once stood."""

import importlib
import subprocess
import sys

import pytest

from nas.machine.moved import place_now


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("search_spaces.parts.training", "search_spaces.shared.training"),
        ("search_spaces.parts.blocks", "search_spaces.shared.blocks"),
        ("nas.exporters.parts.formats", "nas.exporters.registry"),
        ("nas.exporters.parts.trained", "nas.exporters.trained"),
        ("nas.exporters.parts.pixels", "nas.exporters.pixels"),
        ("nas.figures", "nas.views.figures"),
        ("nas.figures.parameters", "nas.views.figures.importance"),
        ("nas.figures.resources", "nas.views.figures.time_and_memory"),
        ("nas.final.statistics", "nas.final.scores"),
        ("nas.memory.autocast", "nas.memory.cuda_functions"),
        ("nas.memory.checkpointing", "nas.memory.activation_checkpoints"),
        ("nas.study.checkpoints", "nas.study.trial_files"),
        ("nas.study.weights", "nas.study.trial_files"),
        ("nas.training.live", "nas.training.live_bytes"),
        ("nas.study.samplers", "nas.samplers.base"),
        ("nas.datasets.digits", "nas.datasets.sources.digits"),
        ("nas.datasets.folder", "nas.datasets.sources.folder"),
        ("nas.datasets.npz", "nas.datasets.sources.npz"),
        ("nas.datasets.vision", "nas.datasets.sources.vision"),
    ],
)
def test_an_old_name_is_the_same_module(old, new):
    assert importlib.import_module(old) is importlib.import_module(new)
    assert importlib.import_module(new).__name__ == new


def test_an_old_name_hides_no_new_one():
    importlib.import_module("nas.exporters.parts.formats")
    formats = importlib.import_module("nas.exporters.formats")
    assert importlib.import_module("nas.exporters").formats is formats
    from nas.exporters.parts import trained

    assert trained is importlib.import_module("nas.exporters.trained")


@pytest.mark.slow
def test_lines_of_old_files_work_in_a_fresh_process():
    lines = [
        "import nas.figures; nas.figures.history",
        "from nas import figures; figures.learning_curves",
        "from nas.figures.curves import history",
        "from search_spaces.parts.training import suggest_training",
        "from nas.space import DataInfo, Proposal; from search_spaces.parts.pyramid import *",
        "from nas.testing import ExporterContract",
        "from nas.api import Study, load_study, search",
        "from nas.memory.plan import DoesNotFit, Levers, MemoryPlan, plan_memory",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize("name", ["nas", "nas.space", "nas.figure", "search_spaces.cnn_fc", "nas.exporters"])
def test_what_has_not_moved_is_found_as_before(name):
    assert place_now(name) is None
    if name != "nas.figure":
        assert importlib.import_module(name).__name__ == name
