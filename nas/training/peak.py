"""The most memory that was in use since a moment, as far as device and system tell."""

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch


def reset_peaks(device: torch.device) -> None:
    """Forget earlier peaks. That of the process only Linux can forget."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if sys.platform == "linux":
        with suppress(OSError):  # some containers have no such file
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): VmHWM becomes the present resident set


def cuda_peaks(device: torch.device) -> tuple[int, int] | None:
    """Bytes of the caching allocator: of its live tensors, and of its segments. None for other devices."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)


def peak_resident() -> int:
    """Bytes of the process's resident set."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): macOS counts in bytes
