"""Holds a worker to the memory of one trial, and knows when that was not enough."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nas.engines.base import cpu_limit
from nas.errors import text_of

OUT_OF_MEMORY = (
    "CUDA error: out of memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # cuBLAS and cuDNN: their handle found no room
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, and of the host
    "unable to find an engine to execute this computation",  # cuDNN: no algorithm has room for its workspace
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # the same on Windows
    "could not create a memory object",  # oneDNN
    "could not create a primitive",  # oneDNN has no room for the code it generates
    "could not execute a primitive",  # or for its scratch memory
    "std::bad_alloc",
)
"""What errors of other types say when memory was all they lacked."""


@contextmanager
def limited(device: torch.device, reservation: int, context: int = 0) -> Iterator[None]:
    """Let a trial take `reservation` bytes of its device and no more; what exceeds them raises.

    CUDA: segments of the caching allocator, and `context` bytes outside of it, which are not enforced. CPU,
    on Linux alone: what the process takes beyond what it has now, give or take the heap's own needs; memory
    of earlier trials that the heap could not give back is what it has now. Nothing is enforced elsewhere.
    """
    release(device)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        before = torch.cuda.get_per_process_memory_fraction(device)
        # half a byte more, because torch rounds the product down; and a float at the bounds too
        fraction = min(1.0, max(0.0, (reservation - context + 0.5) / total))
        torch.cuda.set_per_process_memory_fraction(fraction, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(before, device)
    elif device.type == "cpu" and sys.platform == "linux":
        import resource  # Unix alone has it

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _data_size() + cpu_limit(reservation)
        allowed = [limit, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    else:
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller micro-batch might have spared `error`."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in text_of(error) for text in OUT_OF_MEMORY)


def release(device: torch.device) -> None:
    """Give back the memory of objects that nobody holds any more.

    An exception holds the frames it came through, and they their tensors: leave its `except` block first.

    Raises:
        torch.AcceleratorError: a fault of CUDA, after which nothing works any more in this process.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:  # glibc has it, musl does not
            trim(0)


def _data_size() -> int:
    """Bytes of the process's private writable memory, which is what RLIMIT_DATA bounds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmData:"))
    return int(size) * 1024
