"""Functions as CUDA has them, under the autocast of a CPU."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.memory.cuda_functions import CudaFunctions

BF16, FP32 = torch.bfloat16, torch.float32


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (lambda maps: maps.sum(1), FP32),
        (lambda maps: torch.sum(input=maps, dim=1), FP32),
        (lambda maps: maps.sum(1, dtype=torch.float64), torch.float64),
        (lambda maps: maps.mean(1), BF16),
        (lambda maps: maps.norm(dim=1), FP32),
        (lambda maps: torch.linalg.vector_norm(maps, dim=1), FP32),
        (F.normalize, FP32),
        (lambda maps: F.interpolate(maps, scale_factor=2), FP32),
        (lambda maps: F.interpolate(maps, scale_factor=2, mode="bilinear"), FP32),
        (lambda maps: F.softmin(maps, 1), FP32),
        (lambda maps: F.lp_pool2d(maps, 2, 2), FP32),
        (lambda maps: 2**maps, FP32),
        (lambda maps: 1 / maps, FP32),
        (lambda maps: maps / 2, BF16),
        (torch.square, FP32),
        (torch.expm1, FP32),
        (lambda maps: F.pad(maps, (1, 1, 1, 1), mode="reflect"), BF16),
        (lambda maps: F.pad(maps, (1, 1, 1, 1), "replicate"), BF16),
        (lambda maps: F.pad(maps, (1, 1, 1, 1)), BF16),
        (lambda maps: F.group_norm(maps, 2), FP32),
        (F.dropout, BF16),
        (lambda maps: torch.dropout(maps, p=0.5, train=True), BF16),
        (lambda maps: torch.dropout(maps, 0.5, False), BF16),
        (lambda maps: F.dropout(maps, 0.5, training=True, inplace=True), BF16),
        (lambda maps: (maps > 0).sum(1), torch.int64),
        (lambda maps: torch.arange(4) ** 2, torch.int64),
    ],
)
def test_autocast_gives_the_type_that_it_would_on_cuda(
    function: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    maps = torch.ones(2, 4, 8, 8, dtype=BF16)
    with CudaFunctions(), torch.autocast("cpu", BF16):
        assert function(maps).dtype == dtype


def test_without_autocast_no_type_changes() -> None:
    maps = torch.ones(2, 4, 8, 8, dtype=BF16)
    with CudaFunctions():
        assert {function(maps).dtype for function in (torch.exp, torch.sum, F.normalize)} == {BF16}


def test_a_dropout_keeps_a_byte_a_number() -> None:
    maps = torch.ones(1000, requires_grad=True)
    kept: list[Tensor] = []
    with (
        CudaFunctions(),
        torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x),
    ):
        F.dropout(maps, 0.25)
        F.dropout(maps, 0.25, training=False)
    assert [(mask.dtype, len(mask)) for mask in kept] == [(torch.bool, 1000)]


def test_a_group_norm_gives_what_lies_contiguously() -> None:
    maps = torch.ones(2, 4, 8, 8).to(memory_format=torch.channels_last)
    assert not F.group_norm(maps, 2).is_contiguous()
    with CudaFunctions():
        assert F.group_norm(maps, 2).is_contiguous()
