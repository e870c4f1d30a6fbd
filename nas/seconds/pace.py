"""How fast a worker is: the time of a small training step, taken once, before the first trial."""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.nn import functional

from nas.seconds.rates import PACE, reference, seconds_of
from nas.seconds.work import OPERATIONS

BATCH, SHAPE = 32, (3, 32, 32)
STEPS = 16
"""The fastest of so many steps tells: the first ones prepare kernels, others wait for other processes. Of 16,
the paces of ten processes lie within 7 % of one another; of 6, within 30 %."""


def measure_pace(device: torch.device, precision: str) -> float:
    """Seconds of a small training step over what `nas.seconds.rates` takes it for: 2 is half as fast."""
    model = pace_network().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=True)
    pixels = torch.zeros(BATCH, *SHAPE, device=device).to(memory_format=torch.channels_last)
    labels = torch.zeros(BATCH, dtype=torch.long, device=device)
    clock = time.perf_counter if device.type != "cpu" else time.process_time  # which others cannot slow down
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    times = []
    for _ in range(STEPS):
        begun = clock()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(pixels)
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(clock() - begun)
    rates = reference(device.type)
    low = " bf16" if precision == "bf16" else ""
    work = {f"{kind}{low}" if kind in OPERATIONS else kind: amount for kind, amount in PACE.items()}
    return min(times) / threads / seconds_of(work, rates)


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
