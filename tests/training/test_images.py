"""How batches come to a card."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.engines import worker
from nas.training.images import Examples, Images

CARD = torch.device("cuda", 0)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every copy to a card, whether it came from pinned memory and waits for nothing."""
    storages: list[int] = []
    seen: list[bool] = []
    really = Tensor.to

    def pin_memory(tensor: Tensor) -> Tensor:
        storages.append(tensor.untyped_storage().data_ptr())
        return tensor

    def to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args != (CARD,):
            return really(tensor, *args, **kwargs)
        pinned = tensor.untyped_storage().data_ptr() in storages
        seen.append(pinned and kwargs.get("non_blocking", False))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "to", to)
    return seen


@pytest.mark.parametrize("resident", [True, False])
def test_no_batch_waits_for_the_card(copies: list[bool], resident: bool) -> None:
    pixels = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    examples = Examples(pixels, torch.arange(10), CARD, resident)
    batches = list(examples.batches(torch.arange(10).flip(0), 3))
    assert [labels.tolist() for _, labels in batches] == [[9, 8, 7], [6, 5, 4], [3, 2, 1], [0]]
    assert copies
    assert all(copies)


class Data:
    """Images of so many bytes."""

    def __init__(self, size: int) -> None:
        self.train = self.val = type("Split", (), {"images": type("Pixels", (), {"nbytes": size // 2})()})()


@pytest.mark.parametrize(
    ("size", "free", "cap", "errors", "resident"),
    [
        (400, 1000, None, [], [True]),
        (600, 1000, None, [], [False]),
        (400, 1000, 1600, [], [True]),
        (400, 1000, 1500, [], [False]),  # nothing would fit beside them
        (400, 1000, 1600, [torch.OutOfMemoryError("CUDA out of memory")], [True, False]),
    ],
    ids=["room", "no room on the card", "room under the cap", "no room under the cap", "room just taken"],
)
def test_images_lie_on_the_card_where_there_is_room(
    size: int,
    free: int,
    cap: int | None,
    errors: list[Exception],
    resident: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bool] = []

    def load(data: object, device: torch.device, *, resident: bool = True) -> str:
        tried.append(resident)
        if errors:
            raise errors.pop()
        return "loaded"

    monkeypatch.setattr(Images, "load", load)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    monkeypatch.setattr(worker, "release", lambda device: None)
    assert worker.load_images(Data(size), CARD, cap) == "loaded"  # type: ignore[arg-type, comparison-overlap]
    assert tried == resident


def test_another_fault_of_the_card_is_not_taken_for_a_lack_of_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Images, "load", load)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    with pytest.raises(torch.AcceleratorError):
        worker.load_images(Data(2), CARD, None)  # type: ignore[arg-type]
