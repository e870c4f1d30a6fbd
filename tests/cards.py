"""A stand-in for graphics cards: what `torch.cuda` and NVML would say of them, without either."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import accumulate
from types import SimpleNamespace

import pytest
import torch

GIB = 2**30


@dataclass
class Card:
    """One card, and what this process may take of it."""

    total: int = 80 * GIB
    """Bytes of its memory."""
    free: int = 80 * GIB
    """Bytes that no process has taken."""
    processes: dict[int, int] | None = None
    """Bytes of each process by its number, as NVML knows them; None where it may not tell."""
    uuid: str = ""
    limit: int | None = None
    """Bytes that torch's allocator was last allowed."""
    blocks: list[int] = field(default_factory=list)
    """Bytes of what lies in that allocator."""


def present(monkeypatch: pytest.MonkeyPatch, *cards: Card) -> None:
    """Let torch see these cards, and check what it is asked as the real one does."""

    def at(device: object) -> Card:
        return cards[torch.device(device).index or 0]  # type: ignore[arg-type]

    def set_fraction(fraction: object, device: object = 0) -> None:
        if not isinstance(fraction, float):
            raise TypeError("Invalid type for fraction argument, must be `float`")
        if not 0 <= fraction <= 1:
            raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
        at(device).limit = int(fraction * at(device).total)

    def fraction_of(device: object) -> float:
        card = at(device)
        return 1.0 if card.limit is None else card.limit / card.total

    def properties(device: object) -> object:
        card = at(device)
        return SimpleNamespace(
            uuid=card.uuid,
            total_memory=card.total,
            multi_processor_count=132,
            max_threads_per_multi_processor=2048,
        )

    class NVMLError(Exception):
        pass

    def handle(uuid: str) -> Card:
        return next(card for card in cards if f"GPU-{card.uuid}" == uuid)

    def processes(card: Card) -> list[SimpleNamespace]:
        if card.processes is None:
            raise NVMLError("no permission")
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in card.processes.items()]

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetComputeRunningProcesses=processes,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)

    def snapshot() -> list[dict[str, object]]:
        return [
            {
                "device": index,
                "blocks": [
                    {"address": end - size, "requested_size": size, "state": "active_allocated"}
                    for size, end in zip(card.blocks, accumulate(card.blocks), strict=True)
                ]
                + [{"address": sum(card.blocks), "requested_size": 0, "state": "inactive"}],
            }
            for index, card in enumerate(cards)
        ]

    monkeypatch.setattr(torch.cuda, "memory_snapshot", snapshot)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: sum(at(device).blocks))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (at(device).free, at(device).total))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", set_fraction)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", fraction_of)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
