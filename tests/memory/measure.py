"""The truth that predictions of memory are held to: the training loop, and what it really allocates."""

import gc
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from nas.memory.trace import Precision
from nas.space import DataInfo, Training
from nas.training.images import Examples, Images
from nas.training.loop import Trainer
from nas.training.values import DTYPES

STEPS = 3


class Peak(NamedTuple):
    """The most bytes of CPU memory that some work had at once."""

    tensors: int
    """Between operations."""
    with_scratch: int
    """At any moment: with what kernels allocate and free inside."""


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of their storages, shared ones once."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def blank_images(
    shape: tuple[int, int, int], count: int, device: str = "cpu", *, val: int = 1, bits: int = 8
) -> Images:
    """As many images to train on, and `val` to validate on, all black, of so many bits."""
    channels, height, width = shape
    where = torch.empty(0, device=device).device

    def blank(count: int) -> Examples:
        pixels = torch.zeros(count, height, width, channels, dtype=DTYPES[bits], device=where)
        return Examples(pixels, torch.zeros(count, dtype=torch.long, device=where), where, resident=True)

    info = DataInfo(
        name="blank",
        shape=shape,
        num_classes=10,
        num_train=count,
        num_val=val,
        augmentations=("shift", "flip"),
        bits=bits,
    )
    blank_pixels = torch.zeros(height, width, channels, device=where)
    mean_color = torch.zeros(channels, dtype=DTYPES[bits], device=where)
    return Images(info, where, blank(count), blank(val), blank_pixels, blank_pixels, mean_color)


def train_a_little(
    model: nn.Module,
    images: Images,
    training: Training,
    *,
    accumulation: int = 1,
    precision: Precision = "fp32",
    epochs: int = 1,
) -> None:
    """So many epochs."""
    trainer = Trainer(
        model, images, training, epochs=epochs, precision=precision, seed=0, accumulation=accumulation
    )
    assert len(list(trainer.run())) == epochs


def measured_training(
    model: nn.Module,
    shape: tuple[int, int, int],
    training: Training,
    *,
    accumulation: int = 1,
    precision: Precision = "fp32",
    bits: int = 8,
) -> Peak:
    """Of a network that is trained on the CPU, its parameters and buffers included."""
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = blank_images(shape, STEPS * training.batch_size, bits=bits)
    network = bytes_of([*model.parameters(), *model.buffers()])
    tensors, with_scratch = peak_of(
        lambda: train_a_little(model, images, training, accumulation=accumulation, precision=precision)
    )
    return Peak(network + tensors, network + with_scratch)


def peak_of(work: Callable[[], object]) -> Peak:
    """What PyTorch's profiler sees. `work` must free nothing that was there before: it would stay unseen."""
    gc.collect()  # or it might happen meanwhile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    assert seen.profiler is not None
    assert seen.profiler.kineto_results is not None
    changes: list[tuple[int, int]] = []
    operations: list[tuple[int, int]] = []
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            changes.append((event.start_ns(), event.nbytes()))
        elif event.name().startswith("aten::"):
            operations.append((event.start_ns(), event.end_ns()))
    ends = [0]
    for start, end in sorted(operations):
        if start >= ends[-1]:  # not called by another operation
            ends.append(end)
    live = tensors = with_scratch = 0
    for _, change in sorted([*changes, *((end, 0) for end in ends)]):
        live += change
        with_scratch = max(with_scratch, live)
        if not change:
            tensors = max(tensors, live)
    return Peak(tensors, with_scratch)
