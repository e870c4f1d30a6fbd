"""Roughly what training does, told from the layers alone: a tenth of the work of tracing a step."""

from __future__ import annotations

from math import prod

from nas.network.layers import LayerTable
from nas.seconds.work import Work
from nas.space import DataInfo

PASSES = 3
"""A training step takes three times the multiply-adds of a forward."""

TOUCHED = 18
"""Bytes that a training step moves for each number that a layer gives."""

CALLS = 7
"""Operations that a training step begins for each layer, its share of the optimizer's among them. All three
are medians over 58 proposals of `cnn_fc` and `residual`, whose traced work they meet within a quarter."""


def rough_epoch(layers: LayerTable, batch_size: int, data: DataInfo, precision: str = "fp32") -> Work:
    """What an epoch does, validation included: to be compared, and not to decide by."""
    batch = min(batch_size, data.num_train)
    images, steps = data.num_train + data.num_val, data.num_train // batch + data.num_val // batch // PASSES
    outputs = sum(prod(layer.output_shape) for layer in layers.layers if layer.output_shape)
    products = f"convolution{' bf16' if precision == 'bf16' else ''}"
    return {
        products: layers.multiply_adds * (PASSES * data.num_train + data.num_val),
        "bytes": TOUCHED * outputs * images,
        "calls": CALLS * len(layers.layers) * steps,
    }
