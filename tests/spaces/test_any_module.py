"""A space may build any `nn.Module`: it is proposed, predicted, trained, inspected and exported like ours."""

from pathlib import Path

import pytest
import torch

import nas
from nas.errors import BrokenFile
from nas.space.load import load_space
from nas.testing import SpaceContract
from nas.testing.spaces import proposals
from tests.conftest import DIGITS

FILE = str(Path(__file__).with_name("any_module.py"))


class TestAnyModule(SpaceContract):
    name = FILE


@pytest.mark.slow
def test_a_search_of_any_module_ends_in_a_network_that_is_inspected_and_exported(tmp_path: Path) -> None:
    study = nas.search(
        space=FILE,
        data="digits",
        trials=1,
        epochs=1,
        workers=1,
        threads=1,
        device="cpu",
        folder=tmp_path / "studies",
    )
    assert study.best is not None
    model = study.best.load_model()
    assert type(model).__name__ == "TwoPaths"
    inspection = nas.inspect(model, (1, 8, 8), batch_size=64)
    assert inspection.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert {layer.name for layer in inspection.layers} == {"fine", "coarse", "classifier"}
    assert inspection.multiply_adds > 0

    study.best.export(tmp_path / "out", ["torch"])
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    images = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(program(images), model(images))


READS_VALUES = "if images.mean() > 0: maps = maps * self.scale"
"""As in a network whose steps depend on what it sees, with a tensor that is no parameter."""


def test_a_network_that_nobody_can_follow_without_values_gets_the_whole_cap_and_is_trained(
    tmp_path: Path,
) -> None:
    lines = Path(FILE).read_text().splitlines(keepends=True)
    (place,) = (number for number, line in enumerate(lines) if "pooled =" in line)
    lines.insert(place, f"        {READS_VALUES}\n")
    (place,) = (number for number, line in enumerate(lines) if "self.balance =" in line)
    lines.insert(place, "        self.scale = torch.tensor(2.0)\n")
    file = tmp_path / "mine.py"
    file.write_text("".join(lines))
    tiny = {"trials": 1, "epochs": 1, "workers": 1, "threads": 1, "device": "cpu", "memory_cap": "100MiB"}
    study = nas.search(space=str(file), data="digits", folder=tmp_path / "studies", **tiny)
    assert study.best is not None
    assert study.best.record.predicted == 100 * 2**20
    assert study.best.record.num_parameters
    assert study.best.record.multiply_adds is None


def test_the_error_of_a_space_of_ones_own_names_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(Path(FILE).read_text().replace("return TwoPaths(", "return TwoPath("))
    space = load_space(str(file))
    _, proposal = proposals(space, DIGITS, 1)[0]
    with pytest.raises(BrokenFile, match=r"mine\.py, line 33: NameError: name 'TwoPath' is not defined"):
        space.build(proposal, DIGITS)
