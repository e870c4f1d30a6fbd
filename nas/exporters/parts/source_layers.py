"""A network as Python source: one line for each layer, by one function for each kind of layer.

Only arguments that PyTorch has had for years are written, so that the source runs with versions other than
the one that trained the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from nas.errors import NasError
from nas.exporters.parts.source_literals import write_call
from nas.layers import LayerTable

INDENT = "    "


def write_layers(model: nn.Module, table: LayerTable) -> str:
    """The expression of an OrderedDict of the layers of `model`, each with its output shape in a comment.

    Raises:
        NasError: the model is something other than an nn.Sequential, nested ones included, of known layers.
    """
    if type(model) is not nn.Sequential:
        raise _cannot_write(f"the network, a {type(model).__name__}")
    shapes = (layer.output_shape for layer in table.layers)
    lines = list(_entries(model, "", INDENT * 2, shapes))
    width = max((len(code) for code, shape in lines if shape), default=0)
    body = "\n".join(f"{code:<{width}}  # {_by(shape)}" if shape else code for code, shape in lines)
    return f"OrderedDict([\n{body}\n{INDENT}])"


Line = tuple[str, tuple[int, ...]]
"""Source, and the output shape of the layer that it makes; empty where it makes none."""


def _entries(
    sequence: nn.Sequential, place: str, indent: str, shapes: Iterator[tuple[int, ...]]
) -> Iterator[Line]:
    for name, layer in sequence._modules.items():
        assert layer is not None
        if type(layer) is nn.Sequential and len(layer):
            yield f"{indent}({name!r}, nn.Sequential(OrderedDict([", ()
            yield from _entries(layer, f"{place}{name}.", indent + INDENT, shapes)
            yield f"{indent}]))),", ()
        elif type(layer) in KINDS:
            yield f"{indent}({name!r}, {KINDS[type(layer)](layer)}),", next(shapes)
        else:
            raise _cannot_write(f"layer {place + name!r}, a {type(layer).__name__}")


def _cannot_write(what: str) -> NasError:
    known = ", ".join(sorted(kind.__name__ for kind in KINDS))
    return NasError(
        f"The format source cannot write {what}. It writes an nn.Sequential, nested or not, of {known}."
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _conv2d(layer: nn.Conv2d) -> str:
    return write_call(
        "Conv2d",
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=(layer.stride, 1),
        padding=(layer.padding, 0),
        dilation=(layer.dilation, 1),
        groups=(layer.groups, 1),
        bias=(layer.bias is not None, True),
        padding_mode=(layer.padding_mode, "zeros"),
    )


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> str:
    return write_call(
        type(layer).__name__,
        layer.num_features,
        eps=(layer.eps, 1e-5),
        momentum=(layer.momentum, 0.1),
        affine=(layer.affine, True),
        track_running_stats=(layer.track_running_stats, True),
    )


def _linear(layer: nn.Linear) -> str:
    return write_call("Linear", layer.in_features, layer.out_features, bias=(layer.bias is not None, True))


def _max_pool2d(layer: nn.MaxPool2d) -> str:
    return write_call(
        "MaxPool2d",
        layer.kernel_size,
        stride=(layer.stride, layer.kernel_size),
        padding=(layer.padding, 0),
        dilation=(layer.dilation, 1),
        ceil_mode=(layer.ceil_mode, False),
    )


def _avg_pool2d(layer: nn.AvgPool2d) -> str:
    return write_call(
        "AvgPool2d",
        layer.kernel_size,
        stride=(layer.stride, layer.kernel_size),
        padding=(layer.padding, 0),
        ceil_mode=(layer.ceil_mode, False),
        count_include_pad=(layer.count_include_pad, True),
        divisor_override=(layer.divisor_override, None),
    )


def _adaptive_avg_pool2d(layer: nn.AdaptiveAvgPool2d) -> str:
    return write_call("AdaptiveAvgPool2d", layer.output_size)


def _flatten(layer: nn.Flatten) -> str:
    return write_call("Flatten", start_dim=(layer.start_dim, 1), end_dim=(layer.end_dim, -1))


def _dropout(layer: nn.Dropout) -> str:
    return write_call("Dropout", layer.p, inplace=(layer.inplace, False))


def _relu(layer: nn.ReLU) -> str:
    return write_call("ReLU", inplace=(layer.inplace, False))


def _silu(layer: nn.SiLU) -> str:
    return write_call("SiLU", inplace=(layer.inplace, False))


def _gelu(layer: nn.GELU) -> str:
    return write_call("GELU", approximate=(layer.approximate, "none"))


def _identity(layer: nn.Identity) -> str:
    return write_call("Identity")


KINDS: dict[type[nn.Module], Callable[[Any], str]] = {
    nn.AdaptiveAvgPool2d: _adaptive_avg_pool2d,
    nn.AvgPool2d: _avg_pool2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv2d,
    nn.Dropout: _dropout,
    nn.Flatten: _flatten,
    nn.GELU: _gelu,
    nn.Identity: _identity,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool2d,
    nn.ReLU: _relu,
    nn.SiLU: _silu,
}
