"""What one operation of PyTorch does, in the kinds of `nas.seconds.work`."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

IMAGE_CHANNELS = 4
"""Convolutions of no more input channels fill no vector of a processor, and take longer than their
multiply-adds say."""

WEIGHT = {torch.ops.aten.convolution: 1, torch.ops.aten.convolution_backward: 2}
"""Where the weight stands among the arguments of a convolution, and of its backward."""

GROUPS = {torch.ops.aten.convolution: 8, torch.ops.aten.convolution_backward: 9}


def work_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> dict[str, float]:
    """Amounts of one operation by kind; none of one that only looks at a tensor in another way.

    Multiply-adds are counted as `torch.utils.flop_counter` does, with a backward's own.
    """
    if func.namespace != "aten":
        return {}
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    made = [each for each in tree_leaves(output) if isinstance(each, Tensor)]
    if not func._schema.is_mutable and _only_looks(given, made):
        return {}
    count = flop_registry.get(func._overloadpacket)
    if count is not None and given:
        kind = _operation(func._overloadpacket, args)
        low = " bf16" if given[0].dtype == torch.bfloat16 else ""
        return {f"{kind}{low}": count(*args, **kwargs, out_val=output) / 2, "calls": 1}
    return {"bytes": sum(each.numel() * each.element_size() for each in (*given, *made)), "calls": 1}


def _only_looks(given: list[Tensor], made: list[Tensor]) -> bool:
    storages = {each.untyped_storage()._cdata for each in given}
    return bool(made) and all(each.untyped_storage()._cdata in storages for each in made)


def _operation(packet: Any, args: tuple[Any, ...]) -> str:
    if packet not in WEIGHT:
        return "matrix"
    shape = args[WEIGHT[packet]].shape  # (out, in per group, height, width)
    if args[GROUPS[packet]] > 1:
        return "depthwise"
    if shape[1] <= IMAGE_CHANNELS:
        return "stem"
    return "pointwise" if prod(shape[2:]) == 1 else "convolution"
