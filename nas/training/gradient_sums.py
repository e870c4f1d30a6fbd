"""Where autograd adds gradients up: in the storage of one of them, if nobody else needs it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ADD, ADD_IN_PLACE = torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor

LENT = 2
"""Holders of a storage that is nobody's but an argument's: its tensor, and the object that we ask."""


def as_autograd_adds(args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A sum as it is on real tensors, with its arguments.

    A backward adds gradients up in the storage of one of them that nobody else holds. It spares subclasses of
    tensors, such as fake ones, and all tensors while a mode looks on: torch/csrc/autograd/input_buffer.cpp.
    """
    if torch.is_grad_enabled() or torch._C._current_graph_task_id() < 0 or len(args) != 2:
        return ADD, args
    first, second = args
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        alike = first.shape == second.shape and first.dtype == second.dtype
        for sum_, other in ((first, second), (second, first)):
            if alike and 0 not in sum_.stride() and _is_lent(sum_):
                return ADD_IN_PLACE, (sum_, other)
    return ADD, args


def _is_lent(tensor: Tensor) -> bool:
    return torch._C._storage_Use_Count(tensor.untyped_storage()._cdata) <= LENT
