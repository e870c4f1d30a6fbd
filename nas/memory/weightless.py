"""A network without the memory of its weights."""

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def copy_without_memory(model: nn.Module, empty: Callable[[Tensor], Tensor]) -> nn.Module:
    """A copy with `empty` of every tensor in its place: parameters, buffers and plain attributes."""
    # deepcopy takes what its memo already holds for the copy, so that no weight is ever copied
    replaced: dict[int, Any] = {}
    for module in model.modules():
        for value in tree_leaves(vars(module)):
            if isinstance(value, nn.Parameter):
                replaced[id(value)] = nn.Parameter(empty(value), requires_grad=value.requires_grad)
            elif isinstance(value, Tensor):
                replaced[id(value)] = empty(value)
    return copy.deepcopy(model, replaced)
