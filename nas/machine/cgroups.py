"""What Linux's control groups leave to this process: limits of containers, of systemd, of batch systems.

A limit of any group above ours holds for us too. Groups are found as the kernel names them for this process,
which is the same for docker, systemd scopes, Kubernetes and SLURM; in both versions, and without either.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")

UNLIMITED = 2**60
"""Version 1 writes a number of this size where there is no limit."""


def memory_left(root: Path = ROOT) -> int | None:
    """Bytes that processes of our groups may still take; None without a limit.

    Args:
        root: of the file system.
    """
    left = [_room(folder, version) for version, folder in _groups("memory", root)]
    return min((room for room in left if room is not None), default=None)


def oom_kills(root: Path = ROOT) -> int | None:
    """Processes of our group that the kernel has killed for lack of memory; None where nobody counts them.

    A process that is in no group looks at those of the whole machine.

    Args:
        root: of the file system.
    """
    for version, folder in _groups("memory", root):
        counts = _table(folder / ("memory.events" if version == 2 else "memory.oom_control"))
        if "oom_kill" in counts:
            return counts["oom_kill"]
    return _table(root / "proc/vmstat").get("oom_kill")


class OomKills:
    """Tells the kernel's kills for lack of memory from those of others. Each counts once, from any thread."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._seen = oom_kills(root)

    def one_more(self) -> bool | None:
        """Whether there was a kill that nobody has asked about yet; None where nobody counts them."""
        with self._lock:
            kills = oom_kills(self._root)
            if kills is None or self._seen is None:
                return None
            if kills <= self._seen:
                return False
            self._seen += 1
            return True


def processors(root: Path = ROOT) -> int | None:
    """Processors whose time our groups grant, rounded up; None without a limit.

    Args:
        root: of the file system.
    """
    granted = []
    for version, folder in _groups("cpu", root):
        if version == 2:
            share = _text(folder / "cpu.max").split()
        else:
            share = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
        if len(share) == 2 and all(text.isdecimal() for text in share):  # max or -1: no limit
            quota, period = (int(text) for text in share)
            granted.append(max(1, math.ceil(quota / max(1, period))))
    return min(granted, default=None)


def _room(folder: Path, version: int) -> int | None:
    """What a group's own limit leaves. The kernel gives up its cache of files first: it counts as free."""
    if version == 2:
        names, usage, cache = ["memory.max", "memory.high"], "memory.current", "inactive_file"
    else:
        names, usage, cache = ["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_inactive_file"
    limits = [int(text) for name in names if (text := _text(folder / name)).isdecimal()]
    limit = min(limits, default=UNLIMITED)
    if limit >= UNLIMITED:
        return None
    used = int(_text(folder / usage) or 0) - _table(folder / "memory.stat").get(cache, 0)
    return max(0, limit - max(0, used))


def _groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """Version and folder of our group and of those above it, from the inside out."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":
            version, mounted = 2, _mounted(root, "cgroup2", "")
        elif controller in controllers.split(","):
            version, mounted = 1, _mounted(root, "cgroup", controller)
        else:
            continue
        if mounted is None:
            continue
        place, shown = mounted
        inside = PurePosixPath(path)
        # a container sees its own group as the top, whatever it is called outside
        below = inside.relative_to(shown) if inside.is_relative_to(shown) else PurePosixPath()
        if ".." in below.parts:
            below = PurePosixPath()
        for group in (below, *below.parents):
            yield version, place / group


def _mounted(root: Path, kind: str, controller: str) -> tuple[Path, PurePosixPath] | None:
    """Where a hierarchy of groups is mounted, and which of its groups is seen there."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        shown, place = before.split()[3:5]
        found, _, options = after.split(" ", 2)
        if found == kind and (not controller or controller in options.split(",")):
            return root / place.lstrip("/"), PurePosixPath(shown)
    return None


def _table(file: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(file: Path) -> str:
    """What a file says; nothing where it is missing, as most of them are in most places."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
