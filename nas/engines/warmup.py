"""What all trials of a worker share of its device's memory, and how fast it is: measured once, before the
first."""

from __future__ import annotations

import os
import time

import torch
from torch import nn
from torch.nn import functional

from nas.memory.prediction import MemoryConstants
from nas.network.layers import layer_table
from nas.seconds.rates import PACE, reference, seconds_of
from nas.seconds.work import OPERATIONS
from nas.training.images import Images
from nas.training.loop import EVALUATED_AT_ONCE

DRAWN = 88
"""Bytes that training keeps for each image on the CPU: its place in the order of an epoch and at most ten
random numbers for its augmentation."""

MOST_CONTEXT = 640 * 2**20
"""Bytes that a CUDA context takes at most, where it cannot be told apart from those of other processes."""


PACE_BATCH, PACE_SHAPE = 32, (3, 32, 32)
PACE_STEPS = 6
"""The fastest of so many steps tells: the first ones prepare kernels, others wait for other processes."""


def measure_constants(images: Images) -> MemoryConstants:
    """Warm a worker's device up, then see what is taken there already."""
    device = images.device
    if device.type != "cuda":
        warm_up(device)
        # the images themselves are a map of a file, shared by all workers
        return MemoryConstants(context=DRAWN * len(images.train), evaluation_batch=EVALUATED_AT_ONCE)
    resident = torch.cuda.memory_allocated(device)
    warm_up(device)
    workspace = torch.cuda.memory_allocated(device) - resident
    torch.cuda.empty_cache()
    return MemoryConstants(
        context=_context(device),
        workspace=workspace,
        data=resident,
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


def measure_pace(device: torch.device, precision: str) -> float:
    """Seconds of a small training step over what `nas.seconds.rates` takes it for: 2 is half as fast."""
    model = pace_network().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=True)
    pixels = torch.zeros(PACE_BATCH, *PACE_SHAPE, device=device).to(memory_format=torch.channels_last)
    labels = torch.zeros(PACE_BATCH, dtype=torch.long, device=device)
    times = []
    for _ in range(PACE_STEPS):
        begun = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(pixels)
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - begun)
    rates = reference(device.type)
    low = " bf16" if precision == "bf16" else ""
    work = {f"{kind}{low}" if kind in OPERATIONS else kind: amount for kind, amount in PACE.items()}
    return min(times) / seconds_of(work, rates)


def pace_network() -> nn.Module:
    """Two convolutions, as the networks of a search begin; its work is `nas.seconds.rates.PACE`."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4096, 10),
    )


def _context(device: torch.device) -> int:
    """Bytes of this process outside the caching allocator.

    NVML knows them where the driver shows it our process; it does not in most containers. Otherwise they are
    what is in use on the whole card, other processes included, bounded by `MOST_CONTEXT`.
    """
    reserved = torch.cuda.memory_reserved(device)
    mine = _bytes_of_this_process(device)
    if mine is not None:
        return max(0, mine - reserved)
    free, total = torch.cuda.mem_get_info(device)
    return min(MOST_CONTEXT, total - free - reserved)


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
    return sizes[0] if sizes else None
