"""What is asked about graphics cards, without CUDA. A stand-in for NVIDIA's library plays machines."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from nas.machine import cards

GIB = 2**30
PLUGGED = [("T4", 16, (7, 5)), ("A100", 80, (8, 0)), ("A100", 40, (8, 0))]
"""Name, GiB and capability of every card, in the order of their slots."""


class NVMLError(Exception):
    pass


class Library:
    """`pynvml`, of a machine with some cards. A handle is (slot, whether it is a part of the card)."""

    NVMLError = NVMLError

    def __init__(self, plugged: list[tuple[str, int, tuple[int, int]]], parted: tuple[int, ...] = ()) -> None:
        self.plugged, self.parted, self.open = plugged, parted, 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.plugged)

    def nvmlDeviceGetHandleByIndex(self, slot: int) -> tuple[int, bool]:
        return slot, False

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> tuple[int, bool]:
        kind, slot = uuid.split("-")
        if kind == "GPU" and int(slot) in range(len(self.plugged)):
            return int(slot), False
        if kind == "MIG" and int(slot) in self.parted:
            return int(slot), True
        raise NVMLError("not found")

    def nvmlDeviceGetName(self, handle: tuple[int, bool]) -> str:
        return self.plugged[handle[0]][0]

    def nvmlDeviceGetMemoryInfo(self, handle: tuple[int, bool]) -> SimpleNamespace:
        slot, is_part = handle
        total = self.plugged[slot][1] * GIB // (8 if is_part else 1)
        return SimpleNamespace(total=total, free=total - GIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle: tuple[int, bool]) -> tuple[int, int]:
        if handle[1]:
            raise NVMLError("not supported")
        return self.plugged[handle[0]][2]

    def nvmlDeviceGetMigMode(self, handle: tuple[int, bool]) -> tuple[int, int]:
        if self.plugged[handle[0]][0] == "T4":
            raise NVMLError("not supported")
        return (1, 1) if handle[0] in self.parted else (0, 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that some cards are plugged in; CUDA, where it must be asked, sees the slots in `seen`."""

    def make(
        library: Library, visible: str | None = None, order: str | None = None, seen: str = ""
    ) -> list[int]:
        for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        asked: list[int] = []

        def properties(index: int) -> SimpleNamespace:
            asked.append(index)
            slot = int(seen[index])
            total = library.plugged[slot][1] * GIB // (8 if slot in library.parted else 1)
            return SimpleNamespace(uuid=str(slot), total_memory=total)

        monkeypatch.setitem(sys.modules, "pynvml", library)
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda index: library.plugged[int(seen[index])][2]
        )
        return asked

    return make


@pytest.mark.parametrize(
    ("visible", "order", "seen", "slots"),
    [
        (None, "PCI_BUS_ID", "", (0, 1, 2)),
        ("2,0", "PCI_BUS_ID", "", (2, 0)),
        ("GPU-1,GPU-0", None, "", (1, 0)),
        (None, None, "120", (1, 2, 0)),
        ("0,1", None, "10", (1, 0)),
    ],
    ids=["as plugged in", "some", "by name", "the fastest first", "the fastest of some first"],
)
def test_a_card_is_the_one_that_torch_means(
    machine, visible, order, seen: str, slots: tuple[int, ...]
) -> None:
    library = Library(PLUGGED)
    asked = machine(library, visible, order, seen)
    for index, slot in enumerate(slots):
        _, total, capability = PLUGGED[slot]
        assert cards.total_memory(index) == total * GIB
        assert cards.free_memory(index) == (total - 1) * GIB
        assert cards.capability(index) == capability
    assert bool(asked) is bool(seen)  # else CUDA stays as it was
    assert library.open == 0


@pytest.mark.parametrize("visible", [None, "1"])
def test_cards_that_are_all_alike_need_no_cuda(machine, visible: str | None) -> None:
    asked = machine(Library([("H100", 80, (9, 0)), ("H100", 80, (9, 0))]), visible)
    assert cards.total_memory(0) == 80 * GIB
    assert not asked


@pytest.mark.parametrize(("visible", "free"), [("MIG-1", 9 * GIB), (None, 10 * GIB), ("GPU-1", 10 * GIB)])
def test_of_a_card_in_parts_the_part_counts(machine, visible: str | None, free: int) -> None:
    """The library would tell of the whole card; what CUDA sees is one eighth."""
    machine(Library(PLUGGED, parted=(1,)), visible, "PCI_BUS_ID", seen="1" if visible else "01")
    index = 0 if visible else 1
    assert cards.free_memory(index) == free
    assert cards.total_memory(index) == 10 * GIB
    assert cards.capability(index) == (8, 0)


def test_without_the_library_torch_is_asked(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(PLUGGED)
    machine(library, seen="012")

    def missing() -> None:
        raise NVMLError("the driver has none")

    monkeypatch.setattr(library, "nvmlInit", missing)
    assert cards.total_memory(0) == cards.free_memory(0) == 16 * GIB
    assert cards.capability(2) == (8, 0)
