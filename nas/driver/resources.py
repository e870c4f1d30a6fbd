"""Which device trains, how many workers share it, with how many threads: resolved before the search."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nas.engines.base import HEAP_HOLES, HEAP_SLACK, cpu_limit
from nas.errors import InvalidSetting
from nas.machine import allocator_settings, allowance
from nas.machine.devices import free_memory, has_bf16, resolve_devices, total_memory
from nas.machine.sizes import in_mib, resolve_amount, whole_mib
from nas.recipe import Recipe

PROCESS = 384 * 2**20
"""Bytes that a worker on a processor takes before any trial, to plan with until one has measured its own:
370 MiB with a PyTorch for CUDA, less without."""

SMALL = 32 * 2**20
"""Bytes of a trial for which a process is worth starting."""

MOST_WORKERS = 8
"""On a processor, unless asked for more: a sampler learns little from many trials that run side by side."""

WORKER_MEMORY = 1.5 * 2**30
"""Bytes of free memory that `--workers auto` wants for each worker on a processor."""

PACKED = 4
"""Workers that `--workers auto` gives a graphics card, which a small network leaves mostly idle."""

AUTO_CAP = {"cuda": "90%", "cpu": "50%", "mps": "50%"}
"""What one trial may use of the memory that is free at the study's first start; no more than all of them."""

AUTO_BUDGET = "90%"
"""What all running trials of a device may use of the memory that is free now."""


@dataclass(frozen=True)
class Resources:
    """What a run trains on."""

    devices: tuple[str, ...]
    """Device of each worker: cpu, cuda:<i> or mps."""
    threads: int
    """Threads of one worker."""
    precision: Literal["fp32", "bf16"]
    memory_cap: int
    """Bytes that one trial may use."""
    budgets: Mapping[str, int]
    """Bytes that all running trials of a device may use together; on a processor with their processes."""
    note: str | None = None
    """What the user should know of it, in one line."""

    @property
    def workers(self) -> int:
        return len(self.devices)


def resolve(recipe: Recipe, memory_cap: int | None = None) -> Resources:
    """The meaning of every `auto` on this machine.

    On a processor every core gets a worker of one thread, as memory allows. Three convolutions on CIFAR-10
    images, 2 cores of an AMD EPYC, images per second: one thread 1,176, two threads 1,760, two workers 2,273.
    On graphics cards, each of those that `device` names gets as many workers as another. What a limit of the
    system leaves to one process bounds the memory cap, not the budget.

    Args:
        memory_cap: bytes, of a study that has one already.

    Raises:
        InvalidSetting: no device is called so, or a trial would not fit the device budget.
        DeviceError: this machine does not have the device.
    """
    cards = resolve_devices(recipe.device)
    workers = _auto_workers(cards) if recipe.workers == "auto" else recipe.workers
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if all(card.startswith("cuda") and has_bf16(card) for card in cards) else "fp32"
    devices = tuple(cards[worker % len(cards)] for worker in range(min(workers, recipe.trials)))
    kind = cards[0].split(":")[0]
    free = {card: free_memory(card) for card in dict.fromkeys(devices)}
    budgets = {card: resolve_amount(recipe.device_memory, size, AUTO_BUDGET) for card, size in free.items()}
    cap = memory_cap or _memory_cap(recipe, free, budgets)
    if memory_cap is None:  # a study that has one goes on, and is trained anew, on smaller cards too
        _check_cards(cap, budgets)
    if recipe.device_memory == "auto":  # room for one trial at least
        budgets = {card: max(budget, _footprint(card, cap)) for card, budget in budgets.items()}
    for card, budget in budgets.items():
        least = cap if memory_cap else _footprint(card, cap)  # of a study that goes on, workers will tell
        if budget < least:
            whole = "" if least == cap else f", with the process of its worker about {in_mib(least)}"
            raise InvalidSetting(
                f"One trial of this study may use {in_mib(cap)} (--memory-cap){whole}, but all of {card} only"
                f" {in_mib(budget)} (--device-memory {recipe.device_memory}). Give --device-memory"
                f" {whole_mib(least)} or more."
            )
    note = allocator_settings.note() if kind == "cuda" else None
    fitting = max(1, budgets["cpu"] // _footprint("cpu", SMALL)) if kind == "cpu" else len(devices)
    if fitting < len(devices):
        if recipe.workers != "auto":
            whole, each = in_mib(budgets["cpu"]), in_mib(_footprint("cpu", SMALL))
            note = (
                f"--device-memory has room for {fitting} of {len(devices)} workers: it is {whole}, and"
                f" each takes {each} or more with its process."
            )
        workers, devices = fitting, devices[:fitting]
    threads = max(1, allowance.processors() // workers) if recipe.threads == "auto" else recipe.threads
    return Resources(devices, threads, precision, cap, budgets, note)


def _memory_cap(recipe: Recipe, free: Mapping[str, int], budgets: Mapping[str, int]) -> int:
    """Bytes that one trial may use of what is free now; no more than the budgets hold, unless asked."""
    card, least = min(free.items(), key=lambda item: item[1])
    one = allowance.free_for_one_process() if card == "cpu" else None
    cap = resolve_amount(recipe.memory_cap, min(least, one or least), AUTO_CAP[card.split(":")[0]])
    if recipe.memory_cap != "auto":
        return cap
    if card == "cpu":
        return min(cap, max(SMALL, _largest_trial(budgets[card])))
    return min(cap, *budgets.values())


def _check_cards(cap: int, cards: Iterable[str]) -> None:
    """Raises:
    InvalidSetting: a trial may use more than a card has, so that no limit could hold it.
    """
    for card in cards:
        total = total_memory(card)
        if total is not None and cap > total:
            raise InvalidSetting(
                f"One trial of this study may use {in_mib(cap)} (--memory-cap), but {card} has only"
                f" {in_mib(total)}. Give --memory-cap {whole_mib(total - 2**20 + 1)} or less to a new study,"
                " or another --device."
            )


def _footprint(device: str, reservation: int) -> int:
    """Bytes of a device that a worker takes with a trial, about: on a processor those of its process too."""
    return PROCESS + cpu_limit(reservation) if device == "cpu" else reservation


def _largest_trial(budget: int) -> int:
    """The largest reservation whose footprint on a processor fits."""
    return math.floor((budget - PROCESS - HEAP_SLACK) / (1 + HEAP_HOLES))


def _auto_workers(cards: tuple[str, ...]) -> int:
    if cards[0].startswith("cuda"):
        return len(cards) * max(1, min(PACKED, allowance.processors() // len(cards)))
    if cards[0] != "cpu":
        return 1
    fitting = int(free_memory("cpu") // WORKER_MEMORY)
    return max(1, min(allowance.processors(), fitting, MOST_WORKERS))
