"""The most memory that was in use since a moment, as far as the device tells."""

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch


def reset_peak(device: torch.device) -> None:
    """Forget earlier peaks. Without CUDA only Linux can; elsewhere the peak is that of the process so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError):  # some containers have no such file
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): VmHWM becomes the present resident set


def peak_memory(device: torch.device) -> int:
    """Bytes. CUDA: live tensors of the allocator. Otherwise: resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): macOS counts in bytes
