"""The counter of live bytes, against numbers known by hand and against PyTorch's profiler."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.live_bytes import LiveBytes
from tests.memory.measure import bytes_of, peak_of
from tests.memory.networks import NETWORKS, SHAPE

KIB = 1024


def kib(size: int) -> Tensor:
    """A new tensor of so many KiB."""
    return torch.zeros(size * KIB, dtype=torch.uint8)


def test_the_peak_is_that_of_tensors_alive_together() -> None:
    with LiveBytes([]) as live:
        first, second = kib(3), kib(5)
        del first
        third = kib(4)
        del second, third
        kib(6)
    assert live.peak == 9 * KIB


def test_what_lives_already_counts_until_it_is_freed() -> None:
    held = [kib(10)]
    with LiveBytes(held) as live:
        kib(1)
        held.clear()
        kib(2)
    assert live.peak == 11 * KIB


@pytest.mark.parametrize(
    "look",
    [
        lambda tensor: tensor[:100].view(10, 10).t(),
        lambda tensor: tensor.add_(1),
        lambda tensor: torch.add(tensor, 1, out=tensor),
        lambda tensor: tensor.split(1),
        lambda tensor: tensor.detach(),
    ],
    ids=["slice", "in place", "out", "split", "detach"],
)
def test_what_shares_a_storage_does_not_count(look: Callable[[Tensor], object]) -> None:
    known, unknown = kib(1), kib(1000)
    with LiveBytes([known, known[10:]]) as live:
        look(known)
        look(unknown)
    assert live.peak == KIB


def test_what_only_the_backward_needs_counts() -> None:
    weight = torch.ones(KIB, requires_grad=True)
    with LiveBytes([weight]) as live:
        output = weight.exp().exp().sum()
        assert live.peak == pytest.approx(3 * 4 * KIB, abs=8)
    assert output.requires_grad


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_a_training_step_needs_what_the_profiler_sees(build: Callable[[], nn.Module]) -> None:
    model = build()
    images, labels = torch.zeros(32, *SHAPE), torch.zeros(32, dtype=torch.long)

    def step() -> None:
        functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]

    present = [*model.parameters(), *model.buffers()]
    seen = peak_of(step).tensors
    model.zero_grad()
    with LiveBytes(present) as live:
        step()
    assert live.peak - bytes_of(present) == pytest.approx(seen, rel=0.001)
