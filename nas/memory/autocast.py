"""The autocast of CUDA, on tensors of the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

FP32_ON_CUDA = (
    *("group_norm", "layer_norm", "softmax", "log_softmax", "logsumexp", "softplus"),
    *("exp", "log", "pow", "__pow__", "reciprocal", "rsqrt", "prod", "cumsum"),
)
"""What CUDA's autocast computes in fp32 and the CPU's leaves in bf16, of what networks for images use: see
ATen/autocast_mode.h. The activations of a group norm need twice the memory for it."""

_FUNCTIONS = frozenset(
    getattr(home, name) for home in (F, torch, Tensor) for name in FP32_ON_CUDA if hasattr(home, name)
)


class CudaAutocast(TorchFunctionMode):
    """While it is entered, `torch.autocast("cpu")` casts to fp32 what `torch.autocast("cuda")` would."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FUNCTIONS and torch.is_autocast_enabled("cpu"):
            args = tree_map_only(Tensor, Tensor.float, args)
        return func(*args, **(kwargs or {}))
