"""What NVIDIA's management library says of a graphics card. It makes no CUDA context and does not initialise
CUDA, after which a process could not fork any more; torch would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def total_memory(index: int) -> int:
    """Bytes of a card, by the number that torch gives it."""
    with _found(index) as (nvml, card):
        if card is not None:
            return int(nvml.nvmlDeviceGetMemoryInfo(card).total)
    return int(torch.cuda.get_device_properties(index).total_memory)


def free_memory(index: int) -> int:
    """Bytes of a card that nobody has taken; all of one that the library does not know."""
    with _found(index) as (nvml, card):
        if card is not None:
            return int(nvml.nvmlDeviceGetMemoryInfo(card).free)
    return int(torch.cuda.get_device_properties(index).total_memory)


def capability(index: int) -> tuple[int, int]:
    """Of computing: (8, 0) for an A100."""
    with _found(index) as (nvml, card):
        if card is not None:
            try:
                major, minor = nvml.nvmlDeviceGetCudaComputeCapability(card)
                return int(major), int(minor)
            except nvml.NVMLError:  # of a part of a card it does not tell
                pass
    return torch.cuda.get_device_capability(index)


@contextmanager
def _found(index: int) -> Iterator[tuple[Any, Any]]:
    """The library, and its handle of a card; None where torch has to be asked."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield pynvml, None
        return
    try:
        try:
            card = _handle(pynvml, index)
        except pynvml.NVMLError:
            card = None
        yield pynvml, card
    finally:
        pynvml.nvmlShutdown()


def _handle(nvml: Any, index: int) -> Any:
    """The card that torch calls `index`.

    CUDA counts those of CUDA_VISIBLE_DEVICES, and without CUDA_DEVICE_ORDER=PCI_BUS_ID the fastest first; the
    library counts all, as they are plugged in.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    name = visible[index] if index < len(visible) else "" if visible else str(index)
    if name.startswith(("GPU-", "MIG-")):
        return _whole(nvml, nvml.nvmlDeviceGetHandleByUUID(name), is_part=name.startswith("MIG-"))
    cards = [nvml.nvmlDeviceGetHandleByIndex(each) for each in range(nvml.nvmlDeviceGetCount())]
    alike = len({nvml.nvmlDeviceGetName(card) for card in cards}) == 1
    in_order = alike or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if in_order and name.isdecimal() and int(name) < len(cards):
        return _whole(nvml, cards[int(name)])
    uuid = torch.cuda.get_device_properties(index).uuid
    return _whole(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))


def _whole(nvml: Any, card: Any, *, is_part: bool = False) -> Any:
    """`card`, unless it is cut into parts: CUDA sees one of them alone, and this is all."""
    if is_part:
        return card
    try:
        parted, _ = nvml.nvmlDeviceGetMigMode(card)
    except nvml.NVMLError:  # it cannot be
        return card
    return None if parted else card
