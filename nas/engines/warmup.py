"""What all trials of a worker share of its device's memory: measured once, before the first."""

from __future__ import annotations

import os

import torch
from torch import nn
from torch.nn import functional

from nas.memory.prediction import MemoryConstants
from nas.network.layers import layer_table
from nas.training.images import Images
from nas.training.loop import EVALUATED_AT_ONCE

DRAWN = 88
"""Bytes that training keeps for each image on the CPU: its place in the order of an epoch and at most ten
random numbers for its augmentation."""

MOST_CONTEXT = 640 * 2**20
"""Bytes that a CUDA context takes at most, where it cannot be told apart from those of other processes."""


def measure_constants(images: Images) -> MemoryConstants:
    """Warm a worker's device up, then see what is taken there already."""
    device = images.device
    if device.type != "cuda":
        warm_up(device)
        # the images themselves are a map of a file, shared by all workers
        return MemoryConstants(context=DRAWN * len(images.train), evaluation_batch=EVALUATED_AT_ONCE)
    card = torch.cuda.get_device_properties(device)
    data = _blocks(device)
    warm_up(device)
    workspace = {address: size for address, size in _blocks(device).items() if address not in data}
    torch.cuda.empty_cache()
    return MemoryConstants(
        context=_context(device),
        workspace=tuple(workspace.values()),
        data=tuple(data.values()),
        threads=card.multi_processor_count * card.max_threads_per_multi_processor,
        evaluation_batch=EVALUATED_AT_ONCE,
    )


def warm_up(device: torch.device) -> None:
    """What a process loads and allocates once: modules, handles, threads, workspaces."""
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16 * 36, 10))
    layer_table(model, (3, 8, 8))
    model.to(device)
    labels = torch.zeros(8, dtype=torch.long, device=device)
    for use_bf16 in (False, True):
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16):
            logits = model(torch.zeros(8, 3, 8, 8, device=device))
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]


def _blocks(device: torch.device) -> dict[int, int]:
    """Requested bytes of the blocks in use in the caching allocator, by address."""
    torch.cuda.synchronize(device)
    return {
        block["address"]: block["requested_size"]
        for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        if segment["device"] == device.index
        for block in segment["blocks"]
        if block["state"] == "active_allocated"
    }


def context_now(device: torch.device) -> int:
    """Bytes of this process outside the caching allocator, where NVML knows them; otherwise 0."""
    if device.type != "cuda" or (mine := _bytes_of_this_process(device)) is None:
        return 0
    return max(0, mine - torch.cuda.memory_reserved(device))


def _context(device: torch.device) -> int:
    """Bytes of this process outside the caching allocator.

    NVML knows them where the driver shows it our process; it does not in most containers. Otherwise they are
    what is in use on the whole card, other processes included, bounded by `MOST_CONTEXT`.
    """
    if context := context_now(device):
        return context
    free, total = torch.cuda.mem_get_info(device)
    return min(MOST_CONTEXT, total - free - torch.cuda.memory_reserved(device))


def _bytes_of_this_process(device: torch.device) -> int | None:
    """What NVML says, where it can."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    except pynvml.NVMLError:
        return None
    sizes = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    return sizes[0] if sizes and sizes[0] is not None else None  # None: it may not tell
