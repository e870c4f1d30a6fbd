"""Which device trains, how many workers share it, with how many threads: resolved before the search.

No CUDA context is created here; workers do that.
"""

import os
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from nas.errors import DeviceError, InvalidSetting
from nas.recipe import Recipe

MOST_WORKERS = 8
"""On a processor, unless asked for more: a sampler learns little from many trials that run side by side."""

WORKER_MEMORY = 1.5 * 2**30
"""Bytes of free memory that `--workers auto` wants for each worker on a processor."""


@dataclass(frozen=True)
class Resources:
    """What a run trains on."""

    device: str
    """cpu, cuda:<i> or mps."""
    workers: int
    threads: int
    """Of one worker."""
    precision: Literal["fp32", "bf16"]


def resolve(recipe: Recipe) -> Resources:
    """The meaning of every `auto` on this machine.

    On a processor every core gets a worker of one thread, as memory allows. Three convolutions on CIFAR-10
    images, 2 cores of an AMD EPYC, images per second: one thread 1,176, two threads 1,760, two workers 2,273.

    Raises:
        InvalidSetting: no device is called so.
        DeviceError: this machine does not have the device.
    """
    device = resolve_device(recipe.device)
    workers = _auto_workers(device) if recipe.workers == "auto" else recipe.workers
    threads = max(1, _cores() // workers) if recipe.threads == "auto" else recipe.threads
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if device.startswith("cuda") and _has_bf16(device) else "fp32"
    return Resources(device, min(workers, recipe.trials), threads, precision)


def resolve_device(name: str) -> str:
    """`name` with auto and a bare cuda made exact.

    Raises:
        InvalidSetting, DeviceError: as `resolve`.
    """
    cards = torch.cuda.device_count()
    has_mps = torch.backends.mps.is_available()
    present = ["cpu", *(f"cuda:{index}" for index in range(cards)), *(["mps"] if has_mps else [])]
    match name.split(":"):
        case ["auto"]:
            return "cuda:0" if cards else "mps" if has_mps else "cpu"
        case ["cpu"]:
            return "cpu"
        case ["mps"]:
            exact = "mps"
        case ["cuda"]:
            exact = "cuda:0"
        case ["cuda", index] if index.isdecimal():
            exact = f"cuda:{int(index)}"
        case _:
            raise InvalidSetting(f"No device is called {name!r}. Write auto, cpu, cuda, cuda:<i> or mps.")
    if exact not in present:
        raise DeviceError(f"This machine has no device {name!r}. It has: {', '.join(present)}.")
    return exact


def _auto_workers(device: str) -> int:
    if device != "cpu":
        return 1
    fitting = int(psutil.virtual_memory().available // WORKER_MEMORY)
    return max(1, min(_cores(), fitting, MOST_WORKERS))


def _cores() -> int:
    """Processors that this process may use."""
    return (
        len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count() or 1
    )


def _has_bf16(device: str) -> bool:
    """Compute capability 8.0 (Ampere) and above have bf16 tensor cores."""
    return torch.cuda.get_device_capability(device) >= (8, 0)
