"""What this process may use of its machine: processors and memory, whoever sets the limit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import psutil

from nas.machine import cgroups


def processors(environment: Mapping[str, str] = os.environ) -> int:
    """How many this process may use: as its affinity, its container and its batch system allow."""
    import joblib  # it imports numpy

    asked = environment.get("SLURM_CPUS_PER_TASK", "")
    limits = [int(joblib.cpu_count()), cgroups.processors()]
    limits += [int(asked)] if asked.isdecimal() else []
    return max(1, min(limit for limit in limits if limit is not None))


def free_memory(environment: Mapping[str, str] = os.environ) -> int:
    """Bytes that new processes may take together, of what other programs leave."""
    limits = [int(psutil.virtual_memory().available), cgroups.memory_left(), _left_of_slurm(environment)]
    return max(0, min(limit for limit in limits if limit is not None))


def free_for_one_process() -> int | None:
    """Bytes that a process like this one may take for a trial, by `ulimit`; None without a limit.

    A worker has loaded the same libraries as we: what of the limit is ours already is its own too.
    """
    if sys.platform == "win32":
        return None
    import resource  # Unix alone has it

    left, size = [], psutil.Process().memory_info()
    for limit, used in (
        (resource.RLIMIT_AS, size.vms),
        (resource.RLIMIT_DATA, getattr(size, "data", size.rss)),
    ):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            left.append(max(0, soft - used))
    return min(left, default=None)


def own_memory() -> int:
    """Bytes that this process shares with no other and that the system cannot take back.

    Libraries and the map of the images are files: all processes share their pages, which count once, as the
    system's cache.
    """
    process = psutil.Process()
    size = process.memory_info()
    if hasattr(size, "shared"):  # Linux tells files from the rest
        return int(size.rss - size.shared)
    return int(process.memory_full_info().uss)


def _left_of_slurm(environment: Mapping[str, str]) -> int | None:
    """What SLURM grants on this node, in MiB, and may not enforce; 0 stands for all of the node."""
    by_node = _number(environment, "SLURM_MEM_PER_NODE")
    by_processor = _number(environment, "SLURM_MEM_PER_CPU")
    granted = by_node or by_processor * _number(environment, "SLURM_CPUS_ON_NODE")
    return granted * 2**20 - own_memory() if granted else None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else 0
