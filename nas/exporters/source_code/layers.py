"""A network as Python source: one line for each layer, by one function for each kind of layer.

Only arguments that PyTorch has had for years are written, so that the source runs with versions other than
the one that trained the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import nn

from nas.errors import NasError
from nas.exporters.source_code.blocks import Blocks
from nas.exporters.source_code.literals import write_call
from nas.network.layers import LayerTable

INDENT = "    "


class Line(NamedTuple):
    """A line of source, and the output shape of the layer that it makes; empty where it makes none."""

    code: str
    shape: tuple[int, ...] = ()


def write_network(model: nn.Module, table: LayerTable) -> tuple[str, str]:
    """The classes of the blocks of `model`, and the body of a function that builds it.

    In the body every layer stands on a line of its own, its output shape in a comment.

    Raises:
        NasError: a layer is neither known, nor made of parts in a way that PyTorch can follow.
    """
    shapes = {layer.name: layer.output_shape for layer in table.layers}
    writer = _Writer({id(module): shapes.get(name, ()) for name, module in model.named_modules()})
    lines = list(writer.module(model, "", INDENT, "return ", ""))
    width = max((len(line.code) for line in lines if line.shape), default=0)
    body = "\n".join(f"{code:<{width}}  # {_by(shape)}" if shape else code for code, shape in lines)
    return writer.blocks.source(), body


class _Writer:
    """Writes modules, and collects the classes that they need."""

    def __init__(self, shapes: dict[int, tuple[int, ...]]) -> None:
        self.blocks = Blocks()
        self._shapes = shapes

    def module(self, module: nn.Module, place: str, indent: str, before: str, after: str) -> Iterator[Line]:
        """What builds a module, between the texts that put it where it belongs."""
        if type(module) in KINDS:
            yield Line(f"{indent}{before}{KINDS[type(module)](module)}{after}", self._shapes[id(module)])
            return
        described = _described(module, place)
        if type(module).forward is nn.Sequential.forward:
            opening, closing, entry = "nn.Sequential(OrderedDict([", "]))", _pair
        elif type(module) is nn.ModuleList:
            opening, closing, entry = "nn.ModuleList([", "])", _item
        else:
            opening, closing, entry = f"{self.blocks.class_of(module, described)}(", ")", _argument
        yield Line(f"{indent}{before}{opening}")
        for name, child in module._modules.items():
            if child is not None:
                inner = f"{place}.{name}" if place else name
                yield from self.module(child, inner, indent + INDENT, *entry(name))
        for line in _tensors(module, described):
            yield Line(f"{indent}{INDENT}{line}")
        yield Line(f"{indent}{closing}{after}")


def _pair(name: str) -> tuple[str, str]:
    """What stands around a part of an nn.Sequential."""
    return f"({name!r}, ", "),"


def _item(name: str) -> tuple[str, str]:
    """What stands around a part of an nn.ModuleList."""
    return "", ","


def _argument(name: str) -> tuple[str, str]:
    """What stands around a part of a block."""
    return (f"{name}=", ",") if name.isidentifier() else (f"**{{{name!r}: ", "},")


def _tensors(module: nn.Module, described: str) -> Iterator[str]:
    """The parameters and buffers that a module owns itself, as arguments; values come with the weights."""
    for name, parameter in module.named_parameters(recurse=False):
        yield f"{name}=nn.Parameter(torch.empty({tuple(parameter.shape)})),"
    for name, buffer in module.named_buffers(recurse=False):
        if name in module._non_persistent_buffers_set:
            raise NasError(
                f"The format source cannot write {described}: its buffer {name!r} is not part of the weights."
            )
        yield f"{name}=nn.Buffer(torch.empty({tuple(buffer.shape)}, dtype={buffer.dtype})),"


def _described(module: nn.Module, place: str) -> str:
    return (
        f"layer {place!r}, a {type(module).__name__}" if place else f"the network, a {type(module).__name__}"
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


def _adaptive_pool2d(layer: nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) -> str:
    return write_call(type(layer).__name__, layer.output_size)


def _flatten(layer: nn.Flatten) -> str:
    return write_call("Flatten", start_dim=(layer.start_dim, 1), end_dim=(layer.end_dim, -1))


def _dropout(layer: nn.Dropout | nn.Dropout2d) -> str:
    return write_call(type(layer).__name__, layer.p, inplace=(layer.inplace, False))


def _group_norm(layer: nn.GroupNorm) -> str:
    return write_call(
        "GroupNorm",
        layer.num_groups,
        layer.num_channels,
        eps=(layer.eps, 1e-5),
        affine=(layer.affine, True),
    )


def _activation(layer: Any) -> str:
    return write_call(type(layer).__name__, inplace=(layer.inplace, False))


def _gelu(layer: nn.GELU) -> str:
    return write_call("GELU", approximate=(layer.approximate, "none"))


def _plain(layer: nn.Module) -> str:
    return write_call(type(layer).__name__)


KINDS: dict[type[nn.Module], Callable[[Any], str]] = {
    nn.AdaptiveAvgPool2d: _adaptive_pool2d,
    nn.AdaptiveMaxPool2d: _adaptive_pool2d,
    nn.AvgPool2d: _avg_pool2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv2d,
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
    nn.Flatten: _flatten,
    nn.GELU: _gelu,
    nn.GroupNorm: _group_norm,
    nn.Hardsigmoid: _activation,
    nn.Hardswish: _activation,
    nn.Identity: _plain,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool2d,
    nn.ReLU: _activation,
    nn.ReLU6: _activation,
    nn.SiLU: _activation,
    nn.Sigmoid: _plain,
    nn.Tanh: _plain,
}
"""What is written as a call of `torch.nn`; every other module, as a block of its parts."""
