"""What PyTorch's functions do on CUDA that they do otherwise on a CPU, done on tensors of the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only


def _functions(*names: str) -> frozenset[Any]:
    """By their names, wherever PyTorch has them."""
    homes: tuple[Any, ...] = (F, torch, torch.linalg, Tensor)
    return frozenset(getattr(home, name) for home in homes for name in names if hasattr(home, name))


CAST_ON_CUDA = _functions(
    *("group_norm", "layer_norm", "softmax", "log_softmax", "softmin", "logsumexp", "softplus"),
    *("normalize", "cosine_similarity", "lp_pool1d", "lp_pool2d", "interpolate", "upsample"),
    *("exp", "expm1", "log", "log1p", "log2", "log10", "pow", "__pow__", "__rpow__", "square"),
    *("reciprocal", "__rdiv__", "__rtruediv__", "rsqrt", "sinh", "cosh", "tan", "acos", "asin"),
    *("dist", "renorm"),
    *(("rms_norm",) if torch.__version__ >= "2.14" else ()),
)
"""What CUDA's autocast casts to fp32 and the CPU's leaves in bf16, of what networks for images use: see
ATen/autocast_mode.h. The activations of a group norm need twice the memory for it. Functions that call one of
these inside stand here too: a mode does not look into them."""

FP32_SUMS_ON_CUDA = _functions("sum", "prod", "cumsum", "cumprod", "norm", "vector_norm")
"""What it only gives in fp32, without a copy of its input."""

FP32_PADDING_ON_CPU = "reflect", "replicate"
"""Ways of padding that the CPU's autocast casts to fp32, and CUDA's does not."""


class CudaFunctions(TorchFunctionMode):
    """While it is entered, functions give what they would on CUDA, as far as memory is concerned.

    `torch.autocast("cpu")` casts as `torch.autocast("cuda")` would; dropout keeps a byte a number; a group
    norm copies what does not lie contiguously.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (F.dropout, torch.dropout):
            return _dropout(func, args, kwargs)
        first = args[0] if args else kwargs.get("input")
        if torch.is_autocast_enabled("cpu"):
            if func in CAST_ON_CUDA:
                args, kwargs = tree_map_only(Tensor, _as_fp32, (args, kwargs))
            elif func in FP32_SUMS_ON_CUDA and isinstance(first, Tensor) and first.is_floating_point():
                kwargs = kwargs | {"dtype": kwargs.get("dtype") or torch.float32}
            elif func is F.pad:
                return _pad(*args, **kwargs)
        if func in (F.group_norm, torch.group_norm) and args:
            return func(args[0].contiguous(), *args[1:], **kwargs)  # what was cast lives on meanwhile
        return func(*args, **kwargs)


def _as_fp32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _dropout(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A kernel of CUDA's makes a mask of bools; a CPU multiplies by one as wide as the input."""
    given = dict(zip(("input", "p", "training", "inplace"), args, strict=False)) | kwargs
    training, p = given.get("training", given.get("train", True)), given.get("p", 0.5)
    if training and 0 < p < 1 and not given.get("inplace"):
        return torch.native_dropout(given["input"], p, True)[0]
    return func(*args, **kwargs)


def _pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    with torch.autocast("cpu", enabled=mode not in FP32_PADDING_ON_CPU):
        return F.pad(input, pad, mode, value)
