"""The real limit of the operating system, in this very process."""

import sys
from collections.abc import Iterator

import psutil
import pytest
import torch
from torch import Tensor, nn

from nas.engines import limits
from nas.engines.limits import is_out_of_memory, limited, release
from tests.memory.networks import SHAPE, normalised

if sys.platform != "linux":
    pytest.skip("memory of a CPU is limited on Linux alone", allow_module_level=True)

import resource

MIB = 2**20
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    yield
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def step(size: int) -> Tensor | None:
    """A forward and backward that need five times `size` MiB."""
    weight = torch.zeros(size * MIB // 4, requires_grad=True)
    weight.exp().exp().sum().backward()  # type: ignore[no-untyped-call]
    return weight.grad


def resident() -> int:
    size: int = psutil.Process().memory_info().rss
    return size


def failure_of(size: int, reservation: int) -> Exception | None:
    """What a step raises under a limit of `reservation` MiB."""
    try:
        with limited(CPU, reservation * MIB):
            step(size)
    except Exception as error:
        return error.with_traceback(None)  # without the frames that hold its tensors
    return None


def test_a_step_beyond_its_reservation_fails_and_smaller_ones_go_on() -> None:
    before = resident()
    for _ in range(2):
        error = failure_of(size=100, reservation=100)
        assert error
        assert is_out_of_memory(error)
        release(CPU)
        assert resident() - before < 50 * MIB
        assert failure_of(size=20, reservation=100) is None


def test_every_trial_has_its_own_limit_and_none_afterwards() -> None:
    assert failure_of(size=100, reservation=500) is None
    assert failure_of(size=100, reservation=100)
    assert failure_of(size=100, reservation=500) is None
    step(100)


def test_a_limit_that_was_there_before_is_kept() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lower = limits._data_size() + 200 * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (lower, hard))
    try:
        assert failure_of(size=150, reservation=2000)
        assert resource.getrlimit(resource.RLIMIT_DATA) == (lower, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_convolutions_without_room_are_recognised() -> None:
    model = normalised(64)
    try:
        with limited(CPU, 64 * MIB):
            model(torch.zeros(2048, *SHAPE)).sum().backward()
    except RuntimeError as error:
        recognised = is_out_of_memory(error)
    assert recognised
    model(torch.zeros(16, *SHAPE)).sum().backward()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.00 GB, other allocations:"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), True),
        (RuntimeError("could not create a memory object"), True),
        (RuntimeError("std::bad_alloc"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_only_a_lack_of_memory_is_one(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_what_cannot_be_limited_runs_all_the_same() -> None:
    with limited(torch.device("meta"), 1):
        assert nn.Linear(3, 4)(torch.zeros(2, 3)).shape == (2, 4)
