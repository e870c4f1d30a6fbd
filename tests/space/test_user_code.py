"""What a user's own file may do, and what becomes of it where it must not."""

import queue
import random
import re
import sys

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial

import nas as package
from nas.engines.planner import Planner
from nas.errors import BrokenFile, SearchesItself
from nas.memory.planned import MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.network.check import check_first
from nas.space.load import load_space
from tests.conftest import DIGITS
from tests.space.test_load import MINIMAL

RAISES = 'raise BaseException("odd")\n'

NETWORK = "nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, data.num_classes))"


def space_of(folder, source, name="space.py"):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(source)
    return load_space(str(file))


def proposal_of(space):
    return space.suggest(FixedTrial({"lr": 0.05, "width": 2}), DIGITS)


@pytest.mark.parametrize(
    "ends", ["import sys\nsys.exit(0)", "raise SystemExit", "import sys\nsys.exit('no')"]
)
def test_a_file_that_ends_the_program_is_an_error_with_its_line(tmp_path, ends):
    with pytest.raises(BrokenFile, match=rf"space\.py, line {ends.count(chr(10)) + 1}: SystemExit"):
        space_of(tmp_path, ends)


def test_ctrl_c_while_a_file_is_imported_is_ctrl_c(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        space_of(tmp_path, "raise KeyboardInterrupt")


@pytest.mark.parametrize("inside", [False, True], ids=["at the top", "inside build"])
def test_spaces_in_two_folders_each_find_the_module_beside_them(tmp_path, inside):
    line = "        from blocks import CLASSES" if inside else "from blocks import CLASSES"
    place = "        channels" if inside else "@dataclass"
    source = MINIMAL.replace(place, f"{line}\n{place}", 1).replace("data.num_classes", "CLASSES")
    spaces = []
    for folder, classes in (("a", 3), ("b", 4), ("c", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "blocks.py").write_text(f"CLASSES = {classes}\n")
        spaces.append(space_of(tmp_path / folder, source))
    for _ in range(2):
        made = [space.build(proposal_of(space), DIGITS)[1].out_features for space in spaces]
        assert made == [3, 4, 5]
    assert str(tmp_path) not in str(sys.path)


def test_packages_and_folders_beside_a_file_are_found(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("from .inner import CLASSES\n")
    (tmp_path / "parts" / "inner.py").write_text("from plain.numbers import CLASSES\n")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "numbers.py").write_text("CLASSES = 7\n")
    source = MINIMAL.replace("@dataclass", "import parts\n@dataclass", 1)
    space = space_of(tmp_path, source.replace("data.num_classes", "parts.CLASSES"))
    assert space.build(proposal_of(space), DIGITS)[1].out_features == 7


@pytest.mark.parametrize("beside", ["x = 1\ny = x / 0\n", "x = 1\ndef (\n"], ids=["fails", "is no Python"])
def test_an_error_in_the_module_beside_a_file_is_shown_with_its_own_line(tmp_path, beside):
    (tmp_path / "blocks.py").write_text(beside)
    with pytest.raises(BrokenFile, match=r"blocks\.py, line 2: "):
        space_of(tmp_path, "import blocks\n")


def test_a_file_is_run_once_until_it_or_what_it_imports_changes(tmp_path):
    (tmp_path / "blocks.py").write_text("import builtins\nbuiltins.runs_of_a_test += 1\n")
    import builtins

    builtins.runs_of_a_test = 0
    source = "import blocks\ndef suggest(trial, data): ...\n"
    assert space_of(tmp_path, source).module is space_of(tmp_path, source).module
    assert builtins.runs_of_a_test == 1
    (tmp_path / "blocks.py").write_text(
        "import builtins\nbuiltins.runs_of_a_test += 2\n"
    )  # as long as before
    space_of(tmp_path, source)
    assert builtins.runs_of_a_test == 3


def test_a_script_that_searches_itself_is_told_of_the_guard_that_it_lacks(tmp_path):
    source = f"import nas\n{MINIMAL}\nnas.search(space=__file__, data='digits', trials=1)\n"
    with pytest.raises(SearchesItself, match='if __name__ == "__main__"') as error:
        space_of(tmp_path, source)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("place", ["at the top", "in build"])
@pytest.mark.parametrize(
    ("line", "get"),
    [
        ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
        ("torch.set_grad_enabled(False)", torch.is_grad_enabled),
        ("torch.set_default_device('meta')", torch.get_default_device),
    ],
)
def test_what_a_file_sets_in_torch_for_everybody_holds_for_its_own_lines_alone(tmp_path, place, line, get):
    before = get()
    where = "@dataclass" if place == "at the top" else "        channels, height"
    indent = where[: len(where) - len(where.lstrip())]
    space = space_of(tmp_path, MINIMAL.replace(where, f"{indent}import torch; {line}\n{where}", 1))
    network = space.build(proposal_of(space), DIGITS)
    assert get() == before
    if place == "at the top":
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


def test_what_a_file_prints_goes_to_standard_error(tmp_path, capsys):
    source = MINIMAL.replace("        channels", "        print('building')\n        channels", 1)
    space = space_of(tmp_path, f"print('importing')\n{source}")
    space.build(proposal_of(space), DIGITS)
    print("mine")
    assert tuple(capsys.readouterr()) == ("mine\n", "importing\nbuilding\n")


@pytest.mark.parametrize("draw", ["random.random()", "float(np.random.rand())", "float(torch.rand(()))"])
def test_what_is_drawn_while_a_network_is_built_follows_from_the_seed_alone(tmp_path, draw):
    source = MINIMAL.replace("nn.Flatten()", f"nn.Flatten(), nn.Dropout({draw})")
    space = space_of(tmp_path, f"import random\nimport numpy as np\nimport torch\n{source}")

    def drawn(seed):
        return space.build(proposal_of(space), DIGITS, seed)[1].p

    first = drawn(2**62 + 5)
    mine = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert drawn(2**62 + 5) == first != drawn(6)
    assert mine == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


WRAPPED = """import torch
class Wrapped(torch.nn.Module):
    def __init__(self, change):
        super().__init__()
        self.head, self.change = torch.nn.Linear(64, 10), change
    def forward(self, x):
        return self.change(self.head(x.flatten(1)))
"""


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (NETWORK.replace("data.num_classes", "1000"), r"gives \(batch, 1000\).* \(batch, 10\)"),
        (NETWORK.replace("))", "), nn.Unflatten(1, (10, 1, 1)))"), r"gives \(batch, 10, 1, 1\)"),
        ("Wrapped(lambda x: (x, x))", "gives a tuple"),
        ("Wrapped(lambda x: {'logits': x})", "gives a dict"),
        ("Wrapped(lambda x: x[:1])", r"gives \(1, 10\) for 8 images"),
        ("Wrapped(lambda x: x.argmax(1))", r"gives \(batch\) of torch.int64"),
        ("Wrapped(lambda x: x if x.sum() > 9e9 else x[:, :4])", r"gives \(batch, 4\)"),
        ("Wrapped(lambda x: x @ torch.ones(3, 3))", r"space\.py, line 19: RuntimeError"),
        (f"{NETWORK}.double()", r"weights are torch\.float64 .*set_default_dtype"),
    ],
)
def test_a_network_that_is_no_classifier_is_refused_with_what_it_gives(tmp_path, network, message):
    space = space_of(tmp_path, WRAPPED + MINIMAL.replace(NETWORK, network))
    with pytest.raises(BrokenFile, match=message) as error:
        check_first(space, {"lr": 0.05, "width": 2}, DIGITS)
    assert str(space.file) in str(error.value)


@pytest.mark.usefixtures("scripted")
def test_it_is_refused_before_there_is_a_study(tmp_path):
    file = tmp_path / "space.py"
    file.write_text(MINIMAL.replace("data.num_classes", "1000"))
    with pytest.raises(BrokenFile, match=r"gives \(batch, 1000\)"):
        package.search(space=str(file), trials=1, epochs=1, workers=1, folder=tmp_path / "studies")
    with pytest.raises(package.NasError, match="There is no study yet"):
        package.load_study(folder=tmp_path / "studies")


def test_a_later_network_that_is_no_classifier_is_not_planned(tmp_path):
    space = space_of(tmp_path, MINIMAL.replace("data.num_classes", "9 + self.width"))
    answers = queue.SimpleQueue()
    planner = Planner(space, DIGITS, precision="fp32", device="cpu", memory_cap=2**30, post=answers.put)
    planner.open()
    for width in (1, 2):
        proposal = space.suggest(FixedTrial({"lr": 0.05, "width": width}), DIGITS)
        planner.plan(width, proposal, MemoryConstants())
    planned, refused = answers.get(timeout=60), answers.get(timeout=60)
    planner.close()
    assert isinstance(planned.answer, MemoryPlan)
    assert re.search(r"space\.py: the network gives \(batch, 11\)", refused.reason)


@pytest.mark.parametrize("where", ["import", "suggest", "build"])
def test_what_derives_from_no_exception_is_the_authors_error_too(nas, tmp_path, where):
    lines = {
        "import": RAISES + MINIMAL,
        "suggest": MINIMAL.replace("def suggest(trial, data):\n", f"def suggest(trial, data):\n    {RAISES}"),
        "build": MINIMAL.replace("def build(self, data):\n", f"def build(self, data):\n        {RAISES}"),
    }
    (tmp_path / "odd.py").write_text(lines[where])
    assert lines[where] != MINIMAL
    code, _, err = nas("search", "--space", "./odd.py", "--device", "cpu", "--workers", 1, "-q")
    assert (code, err.count("\n")) == (2, 1)
    assert "BaseException: odd" in err
