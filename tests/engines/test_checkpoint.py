"""A checkpoint is whole, or it is as if it were not there."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from nas.engines.checkpoint import Checkpoint
from nas.training.epoch import Epoch
from tests.study.test_full_disk import SIZE, fill
from tests.views.terminal.samples import epoch

Saved = tuple[dict[str, object], list[Epoch]]

FIRST: Saved = ({"step": 1}, [epoch(1, 0.5)])
SECOND: Saved = ({"step": 2}, [epoch(1, 0.5), epoch(2, 0.6)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of a trial that left two checkpoints, one after the other."""
    checkpoint = Checkpoint(tmp_path / "checkpoints" / "trial-00000.pt", "trial")
    for saved in (FIRST, SECOND):
        checkpoint.save(*saved)
    return tmp_path / "checkpoints" / "trial-00000.pt"


def tear(file: Path, how: str) -> None:
    content = file.read_bytes()
    match how:
        case "gone":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut short":
            file.write_bytes(content[:-1])
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "zeros at its end":
            file.write_bytes(content[:-100] + bytes(100))
        case "one bit":
            file.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])


TEARS = ("gone", "empty", "cut short", "half", "zeros at its end", "one bit")


def test_the_newest_checkpoint_is_gone_on_from(file: Path) -> None:
    assert Checkpoint(file, "trial").load() == SECOND


@pytest.mark.parametrize("how", TEARS)
def test_a_torn_checkpoint_falls_back_to_the_one_before(file: Path, how: str) -> None:
    tear(file, how)
    assert Checkpoint(file, "trial").load() == FIRST


@pytest.mark.parametrize("how", TEARS)
def test_where_both_are_torn_there_is_none(file: Path, how: str) -> None:
    for each in file.parent.iterdir():
        tear(each, how)
    assert Checkpoint(file, "trial").load() is None


def test_a_checkpoint_of_another_trial_is_not_used(file: Path) -> None:
    assert Checkpoint(file, "another").load() is None


@pytest.mark.parametrize("content", [print, {"trial": "trial"}, ["trial"]], ids=["code", "half", "list"])
def test_what_is_no_checkpoint_is_none_and_its_code_is_not_run(file: Path, content: object) -> None:
    for each in file.parent.iterdir():
        pickled = pickle.dumps(content)
        each.write_bytes(pickled + hashlib.sha256(pickled).digest())
    assert Checkpoint(file, "trial").load() is None


@pytest.mark.parametrize("elements", [1, SIZE])
def test_a_checkpoint_for_which_there_is_no_room_leaves_the_newest(disk: Path, elements: int) -> None:
    file = disk / "checkpoints" / "trial-00000.pt"
    for saved in (FIRST, SECOND):
        Checkpoint(file, "trial").save(*saved)
    if elements == 1:
        fill(disk)
    with pytest.raises(OSError, match="No space left on device"):
        Checkpoint(file, "trial").save({"weights": torch.zeros(elements)}, [])
    assert Checkpoint(file, "trial").load() == SECOND
    assert sorted(each.name for each in file.parent.iterdir()) == ["trial-00000.before.pt", file.name]
