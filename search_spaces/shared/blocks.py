"""Blocks of convolutions with a way around them: what residual networks are made of."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

BlockKind = Literal["bottleneck", "plain"]
BLOCK_KINDS: tuple[BlockKind, ...] = ("bottleneck", "plain")

MIN_GATE_UNITS = 8


class Residual(nn.Module):
    """ReLU of the sum of a body and a shortcut (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.relu(self.body(maps) + self.shortcut(maps))
        return result


class SqueezeExcitation(nn.Module):
    """Scales every channel by a gate in [0, 1] that sees all of them (Hu et al. 2017, arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        units = max(MIN_GATE_UNITS, channels // 16)
        self.gate = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                squeeze=nn.Conv2d(channels, units, 1),
                relu=nn.ReLU(inplace=True),
                excite=nn.Conv2d(units, channels, 1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        scaled: Tensor = maps * self.gate(maps)
        return scaled


def residual_block(
    kind: BlockKind,
    inputs: int,
    outputs: int,
    *,
    stride: int = 1,
    reduction: int = 1,
    separable: bool = False,
    squeeze_excitation: bool = False,
) -> Residual:
    """A block from `inputs` to `outputs` channels, every convolution of which is followed by batch norm.

    "plain" is two 3x3 convolutions; "bottleneck" is 1x1 to `outputs / reduction` channels, 3x3 among these,
    and 1x1 back. The first 3x3 has the stride. The shortcut is the identity, or a 1x1 projection where the
    block changes the shape. `separable` makes every 3x3 depthwise, followed by 1x1 (Chollet 2016, arXiv
    1610.02357); in a bottleneck the 1x1 that is there already mixes the channels.
    """
    layers: dict[str, nn.Module] = {}
    if kind == "bottleneck":
        inner = outputs // reduction
        layers |= convolution("reduce", inputs, inner, 1)
        groups = inner if separable else 1
        layers |= convolution("conv", inner, inner, 3, stride, groups=groups)
        layers |= convolution("expand", inner, outputs, 1, relu=False)
    else:
        layers |= _plain(1, inputs, outputs, stride, separable)
        layers |= _plain(2, outputs, outputs, 1, separable)
        del layers["conv2_relu"]  # it follows the sum
    if squeeze_excitation:
        layers["squeeze_excitation"] = SqueezeExcitation(outputs)
    shortcut: nn.Module = nn.Identity()
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            OrderedDict(convolution("projection", inputs, outputs, 1, stride, relu=False))
        )
    return Residual(nn.Sequential(OrderedDict(layers)), shortcut)


def convolution(
    name: str,
    inputs: int,
    outputs: int,
    kernel_size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    relu: bool = True,
) -> dict[str, nn.Module]:
    """The named layers of a convolution that keeps the size, but for its stride, and batch norm and ReLU."""
    conv = nn.Conv2d(
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,  # the norm has one
    )
    layers: dict[str, nn.Module] = {name: conv, f"{name}_norm": nn.BatchNorm2d(outputs)}
    return layers | {f"{name}_relu": nn.ReLU(inplace=True)} if relu else layers


def _plain(number: int, inputs: int, outputs: int, stride: int, separable: bool) -> dict[str, nn.Module]:
    """A 3x3 convolution, or a depthwise one without ReLU and a 1x1."""
    if not separable:
        return convolution(f"conv{number}", inputs, outputs, 3, stride)
    depthwise = convolution(f"depthwise{number}", inputs, inputs, 3, stride, groups=inputs, relu=False)
    return depthwise | convolution(f"conv{number}", inputs, outputs, 1)
