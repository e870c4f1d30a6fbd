"""The file of a trial's weights holds tensors of its network, or is refused with one line."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.errors import StudyError
from nas.study.trial_files import load_weights


class Code:
    """What runs code when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._file,)


def write(file: Path, what: str) -> None:
    match what:
        case "pickle":
            file.write_bytes(pickle.dumps(Code(file.with_name("ran"))))
        case "torch.save":
            torch.save({"weight": torch.zeros(2, 3)}, file)
        case "nothing":
            file.touch()
        case "a folder":
            file.mkdir()
        case "another network":
            save_file(nn.Linear(3, 4).state_dict(), file)
        case "an honest network":
            save_file(nn.Linear(3, 2).state_dict(), file)


@pytest.mark.parametrize("what", ["pickle", "torch.save", "nothing", "a folder", "another network"])
def test_what_is_something_else_is_refused_and_never_executed(tmp_path: Path, what: str) -> None:
    file = tmp_path / "trial-00000.safetensors"
    write(file, what)
    with pytest.raises(StudyError, match="does not hold the weights of this network") as raised:
        load_weights(nn.Linear(3, 2), file)
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)
    assert not (tmp_path / "ran").exists()


def test_the_weights_of_the_network_are_loaded(tmp_path: Path) -> None:
    write(tmp_path / "file", "an honest network")
    load_weights(nn.Linear(3, 2), tmp_path / "file")
