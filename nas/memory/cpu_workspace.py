"""The memory that convolutions take on a CPU and give back at once: weights as oneDNN's kernels want them.

Measured with channels last, fp32 and AVX-512 on one thread, alike in PyTorch 2.13 and 2.15. It depends on the
weights alone: a step on many images hardly feels it, one on a few images does.
"""

from math import prod
from typing import Any

import torch

BLOCK = 16
"""Kernels take channels in blocks of so many, and pad each group to whole ones."""

FORWARD = torch.ops.aten.convolution.default
BACKWARD = torch.ops.aten.convolution_backward.default

DEPTHWISE_KERNEL = 3
"""Up to this size, depthwise weights are used as they lie."""


def scratch_bytes(operation: Any, arguments: tuple[Any, ...]) -> int:
    """Bytes beside the inputs and outputs of an operation; 0 but for convolutions.

    A forward copies the weights into blocks. A backward gets their gradient in blocks, and copies it twice.
    """
    if operation is FORWARD:
        weight, groups = arguments[1], arguments[8]
    elif operation is BACKWARD:
        weight, groups = arguments[2], arguments[9]
    else:
        return 0
    outputs, inputs, *kernel = weight.shape
    depthwise = inputs == 1 and groups > 1
    if depthwise and (operation is FORWARD or max(kernel) <= DEPTHWISE_KERNEL):
        return 0
    blocked = groups * _padded(outputs // groups) * _padded(inputs) * prod(kernel)
    copied = weight.numel() if operation is BACKWARD else 0
    return int((blocked + copied) * weight.element_size())


def _padded(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK
