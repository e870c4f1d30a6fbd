"""The most memory that was in use since a moment, as far as the device tells."""

import sys
from pathlib import Path

import torch


def reset_peak(device: torch.device) -> None:
    """Forget earlier peaks. On a CPU only Linux can; elsewhere the peak is that of the process so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM becomes the present size


def peak_memory(device: torch.device) -> int:
    """Bytes. CUDA: live tensors of the allocator. Otherwise: resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix alone has it, and macOS counts in bytes

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
