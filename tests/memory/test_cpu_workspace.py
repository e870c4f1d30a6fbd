"""The closed form, held against what PyTorch's profiler sees on this machine."""

import pytest
import torch
from torch import nn

from nas.memory.cpu_workspace import BACKWARD, FORWARD, scratch_bytes
from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from tests.memory.measure import measured_training, peak_of
from tests.memory.networks import CLASSES, SHAPE, plain, settings

MIB = 2**20

CONVOLUTIONS = {
    "wide": nn.Conv2d(256, 256, 3, padding=1, bias=False),
    "padded": nn.Conv2d(100, 200, 3, padding=1, bias=False),
    "pointwise": nn.Conv2d(512, 256, 1, bias=False),
    "strided": nn.Conv2d(128, 256, 3, stride=2, padding=1, bias=False),
    "depthwise 3x3": nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False),
    "depthwise 5x5": nn.Conv2d(96, 96, 5, padding=2, groups=96, bias=False),
}


@pytest.fixture(autouse=True)
def _as_measured() -> None:
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("other kernels than the measured ones run on this processor")


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_takes_its_weights_in_blocks(name: str) -> None:
    layer = CONVOLUTIONS[name].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(16, layer.in_channels, 16, 16).contiguous(memory_format=torch.channels_last)
    images.requires_grad_(True)
    outputs: list[torch.Tensor] = []
    forward = peak_of(lambda: outputs.append(layer(images)))
    gradient = torch.zeros_like(outputs[0])
    results: list[tuple[torch.Tensor, ...]] = []
    leaves = [images, layer.weight]
    backward = peak_of(lambda: results.append(torch.autograd.grad(outputs[0], leaves, gradient)))
    shape: list[object] = [None, layer.weight, *[None] * 6, layer.groups]
    assert forward.with_scratch - forward.tensors == pytest.approx(
        scratch_bytes(FORWARD, tuple(shape)), rel=0.1, abs=64 * 1024
    )
    assert backward.with_scratch - backward.tensors == pytest.approx(
        scratch_bytes(BACKWARD, (None, *shape)), rel=0.1, abs=64 * 1024
    )


def deep_and_narrow() -> nn.Sequential:
    """Few pixels and heavy weights, so that the scratch of kernels is a large part."""
    return nn.Sequential(
        nn.Conv2d(3, 256, 3, stride=4, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, CLASSES),
    )


def test_a_step_is_predicted_with_the_scratch_of_its_kernels() -> None:
    training = settings(4)
    measured = measured_training(deep_and_narrow(), SHAPE, training).with_scratch
    without, with_scratch = (
        trace_training(deep_and_narrow(), SHAPE, training, kernels=kernels).peak(BatchSizes(4, 1, 1))
        for kernels in (None, "cpu")
    )
    assert without.allocated < 0.9 * measured
    assert with_scratch.workspace > 0
    assert with_scratch.total == pytest.approx(measured, rel=0.02)


def test_other_layers_take_none() -> None:
    program = trace_training(
        nn.Sequential(nn.Flatten(), nn.Linear(768, 10)), SHAPE, settings(4), kernels="cpu"
    )
    assert "workspace" not in program.trace.roles
    assert "workspace" in trace_training(plain(), SHAPE, settings(4), kernels="cpu").trace.roles
    assert "workspace" not in trace_training(plain(), SHAPE, settings(4)).trace.roles
