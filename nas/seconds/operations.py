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
MASK = 10
"""Where a backward's argument stands that says which gradients are wanted: input, weight, bias."""


def work_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> dict[str, float]:
    """Amounts of one operation by kind; none of one that only looks at a tensor in another way.

    Multiply-adds of products are counted as `torch.utils.flop_counter` does, which is wrong for the backward
    of convolutions with groups.
    """
    if func.namespace != "aten":
        return {}
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    made = [each for each in tree_leaves(output) if isinstance(each, Tensor)]
    if not func._schema.is_mutable and _only_looks(given, made):
        return {}
    packet, low = func._overloadpacket, " bf16" if given and given[0].dtype == torch.bfloat16 else ""
    if packet in WEIGHT:
        kind, amount = _convolution(packet, args, made)
        return {f"{kind}{low}": amount, "calls": 1}
    if (count := flop_registry.get(packet)) is not None:
        return {f"matrix{low}": count(*args, **kwargs, out_val=output) / 2, "calls": 1}
    return {"bytes": sum(each.numel() * each.element_size() for each in (*given, *made)), "calls": 1}


def _only_looks(given: list[Tensor], made: list[Tensor]) -> bool:
    storages = {each.untyped_storage()._cdata for each in given}
    return bool(made) and all(each.untyped_storage()._cdata in storages for each in made)


def _convolution(packet: Any, args: tuple[Any, ...], made: list[Tensor]) -> tuple[str, int]:
    """Its kind, and its multiply-adds: in a backward once for each gradient, but for that of the bias."""
    weight = args[WEIGHT[packet]]  # (out, in per group, height, width)
    backward = packet is torch.ops.aten.convolution_backward
    maps = args[0] if backward else made[0]
    products = maps.numel() * prod(weight.shape[1:])
    gradients = sum(args[MASK][:2]) if backward else 1
    if args[GROUPS[packet]] > 1:
        return "depthwise", gradients * products
    if weight.shape[1] <= IMAGE_CHANNELS:
        return "stem", gradients * products
    return ("pointwise" if prod(weight.shape[2:]) == 1 else "convolution"), gradients * products
