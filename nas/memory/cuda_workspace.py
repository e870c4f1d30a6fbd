"""The memory that CUDA's kernels take beside their inputs and outputs, and give back: scratch of reductions,
and copies of what does not lie in memory as a kernel wants it.

The rules are those of the callers of cuDNN in PyTorch 2.14. The workspaces
that cuDNN chooses for its convolutions are unknown before a card is asked: the calibration learns them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor

from nas.memory.reduction import Reduction

aten = torch.ops.aten

CONVOLUTION, CONVOLUTION_BACKWARD = aten.convolution.default, aten.convolution_backward.default
POOLING_BACKWARD = (
    aten.max_pool2d_with_indices_backward.default,
    aten.avg_pool2d_backward.default,
    aten._adaptive_avg_pool2d_backward.default,
)
NORM_BACKWARD = aten.native_batch_norm_backward.default
GROUP_NORM_BACKWARD = aten.native_group_norm_backward.default
REDUCTIONS = {
    aten.sum.dim_IntList: True,
    aten.mean.dim: True,
    aten.sum.default: False,
    aten.mean.default: False,
}
"""Whether they are told which dimensions to add up."""
WANTED = -1
"""Where a convolution's backward is told which gradients are wanted: input, weight, bias."""


def reductions_of(operation: Any, arguments: tuple[Any, ...]) -> Iterable[Reduction]:
    """What an operation adds up: none or one."""
    if operation in REDUCTIONS:
        tensor = arguments[0]
        dims = arguments[1] if REDUCTIONS[operation] else None
        yield _reduction(tensor.shape, tensor.stride(), dims)
    elif operation is CONVOLUTION_BACKWARD and arguments[WANTED][2]:  # the gradient of the bias
        gradient = arguments[0]
        if gradient.ndim == 4:
            layout = _layout(arguments[1], arguments[2])
            yield _reduction(gradient.shape, _strides(gradient.shape, layout), (0, 2, 3))


def copies_of(operation: Any, arguments: tuple[Any, ...]) -> list[int]:
    """Bytes of the copies that an operation makes of inputs, so that all have one layout."""
    if operation is GROUP_NORM_BACKWARD:  # where its input was copied in the forward, it is once more
        gradient, input_ = arguments[:2]
        return [] if gradient.is_contiguous() else [_bytes(gradient), _bytes(input_)]
    if operation is CONVOLUTION:
        deciding = given = arguments[:2]
    elif operation is CONVOLUTION_BACKWARD:
        deciding, given = arguments[1:3], arguments[:3]
    elif operation in POOLING_BACKWARD or operation is NORM_BACKWARD:
        deciding, given = arguments[1:2], arguments[:1]
    else:
        return []
    if any(tensor.ndim != 4 for tensor in (*deciding, *given)):
        return []
    layout = _layout(*deciding)
    return [_bytes(tensor) for tensor in given if not tensor.is_contiguous(memory_format=layout)]


def _reduction(shape: Iterable[int], strides: Iterable[int], dims: Iterable[int] | None) -> Reduction:
    shape, strides = list(shape), list(strides)
    chosen = {dim % len(shape) for dim in dims} if dims else set(range(len(shape)))
    inner = _joined((strides[i], n) for i, n in enumerate(shape) if i in chosen and n > 1)
    outer = _joined((strides[i], n) for i, n in enumerate(shape) if i not in chosen and n > 1)
    inputs, outputs = (prod(n for _, n in each) for each in (inner, outer))
    if not inner:
        return Reduction(1, outputs, False, 1)
    along = not outer or inner[0][0] < outer[0][0]
    lanes, vectors = 1, False
    if (inner if along else outer)[0][0] == 1:
        if along:
            vectors = inputs > 128 and len(inner) + len(outer) == 1
        else:
            lanes = 4
            while any(number % lanes for number in (outer[0][1], *(s for s, _ in (*inner, *outer[1:])))):
                lanes //= 2
    return Reduction(inputs, outputs, along, lanes, vectors)


def _joined(dims: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(stride, length) of dimensions, those that follow one another in memory as one."""
    joined: list[tuple[int, int]] = []
    for stride, length in sorted(dims):
        if joined and joined[-1][0] * joined[-1][1] == stride:
            joined[-1] = joined[-1][0], joined[-1][1] * length
        else:
            joined.append((stride, length))
    return joined


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _layout(*tensors: Tensor) -> torch.memory_format:
    """What a kernel takes that goes by these: channels last where any lies so, and only so."""
    last = torch.channels_last
    if any(each.is_contiguous(memory_format=last) and not each.is_contiguous() for each in tensors):
        return last
    return torch.contiguous_format


def _strides(shape: torch.Size, layout: torch.memory_format) -> tuple[int, ...]:
    _, channels, height, width = shape
    if layout == torch.channels_last:
        return channels * height * width, 1, width * channels, channels
    return channels * height * width, height * width, width, 1
