"""Pixels as tensors: uint8, or int16 with the bits of uint16.

Of uint16 itself PyTorch can only copy and convert, on some devices; what moves pixels moves bits as well.
"""

import torch
from torch import Tensor

DTYPES = {8: torch.uint8, 16: torch.int16}
"""By the bits of a value."""


def top(pixels: Tensor) -> int:
    """The largest value that these pixels can have."""
    return 65535 if pixels.dtype == torch.int16 else 255


def values(pixels: Tensor) -> Tensor:
    """float32 in [0, top]. What is float32 already comes back itself."""
    return (pixels.view(torch.uint16) if pixels.dtype == torch.int16 else pixels).float()


def rounded(floats: Tensor, dtype: torch.dtype) -> Tensor:
    """Pixels of `dtype`, one of DTYPES, the nearest to these values; overwrites them."""
    if dtype == torch.int16:
        return floats.round_().clamp_(0, 65535).to(torch.uint16).view(torch.int16)
    return floats.round_().clamp_(0, 255).to(dtype)
