"""A network as Python source: one line for each layer, by the arguments that its class takes.

Those that have their defaults are left out, so that the source runs with versions of PyTorch other than the
one that trained the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import Parameter, signature
from typing import NamedTuple

from torch import nn

from nas.errors import NasError
from nas.exporters.source_code.blocks import Blocks
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
            yield Line(f"{indent}{before}{_call(module)}{after}", self._shapes[id(module)])
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


def _call(layer: nn.Module) -> str:
    """A call of `torch.nn` with the arguments that a layer was made with, as far as they are no defaults.

    A tuple of one repeated number is written as that number: PyTorch takes both.
    """
    arguments = []
    for name, parameter in signature(type(layer)).parameters.items():
        if name in ("args", "kwargs", "device", "dtype"):
            continue
        value, default = _short(getattr(layer, name)), parameter.default
        if name == "bias":  # a normalisation without weights has none either way
            value = value is not None or layer.weight is None
        if name == "stride" and default is None:  # of a pool
            default = _short(layer.kernel_size)
        if default is Parameter.empty:
            arguments.append(repr(value))
        elif value != default:
            arguments.append(f"{name}={value!r}")
    return f"nn.{type(layer).__name__}({', '.join(arguments)})"


def _short(value: object) -> object:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


KINDS = (
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm),
    *(nn.Conv2d, nn.Linear, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Tanh),
)
"""What is written as a call of `torch.nn`; every other module, as a block of its parts."""
