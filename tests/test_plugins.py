"""Finding search spaces by name and by file."""

from dataclasses import replace

import pytest
from optuna.trial import FixedTrial

from nas.errors import BrokenFile, InvalidSetting, UnknownName
from nas.plugins import known_spaces, load_space
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


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidSetting, match="there is no such file"):
        load_space(str(tmp_path / "nothing.py"))


def test_images_too_small_for_a_space_of_ours_are_one_clear_line():
    space = load_space("cnn_fc")
    with pytest.raises(InvalidSetting, match="at least 4x4 pixels, not 3x3"):
        space.suggest(FixedTrial({}), replace(DIGITS, shape=(1, 3, 3)))
