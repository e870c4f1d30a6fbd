"""The training and validation images on a device: held there as uint8, or streamed there in batches."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.datasets import ImageData

PREFETCHED = 2
"""Batches that wait ready while images are streamed."""


@dataclass(frozen=True)
class Examples:
    """The images of one split."""

    images: Tensor
    """uint8, (n, height, width, channels)"""
    labels: Tensor
    """int64, (n,)"""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Images:
    """What every trial of a worker trains and validates on; loaded once."""

    train: Examples
    val: Examples
    scale: Tensor
    """float32, (height, width, channels), on the device: of the normalisation `pixel * scale + bias`."""
    bias: Tensor
    device: torch.device
    num_classes: int
    resident: bool
    """Whether the images lie on the device; otherwise each batch is copied there."""

    @classmethod
    def load(cls, data: ImageData, device: torch.device, *, resident: bool = True) -> Images:
        """Bring a dataset to a device.

        On the CPU nothing is copied: the tensors are the memory map itself, shared by all workers.

        Args:
            resident: hold the images on the device; otherwise batches are gathered from the map and copied there
                while the one before is trained on.
        """
        splits = [Examples(_tensor(split.images), _tensor(split.labels)) for split in (data.train, data.val)]
        if resident:
            splits = [Examples(split.images.to(device), split.labels.to(device)) for split in splits]
        mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        shape = splits[0].images.shape[1:]
        # as large as an image: an elementwise product is several times faster than one over the channels
        scale, bias = (1 / (255 * std)).expand(shape), (-mean / std).expand(shape)
        return cls(
            train=splits[0],
            val=splits[1],
            scale=scale.contiguous().to(device),
            bias=bias.contiguous().to(device),
            device=device,
            num_classes=data.info.num_classes,
            resident=resident,
        )

    def batches(self, examples: Examples, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images, labels) on the device: `examples` in the given order, the last batch perhaps smaller.

        Args:
            order: int64 indices on the CPU.
        """
        if self.resident:
            for indices in order.to(self.device).split(batch_size):
                yield examples.images.index_select(0, indices), examples.labels.index_select(0, indices)
        else:
            yield from self._streamed(examples, order.split(batch_size))

    def normalise(self, images: Tensor) -> Tensor:
        """float32 (batch, channels, height, width), channels last in memory, from uint8 images of a batch."""
        return images.to(torch.float32).mul_(self.scale).add_(self.bias).permute(0, 3, 1, 2)

    def _streamed(self, examples: Examples, order: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Gather batches in a thread of their own, ahead of their use."""
        ready: queue.Queue[tuple[Tensor, Tensor] | None] = queue.Queue(PREFETCHED)
        abandoned = threading.Event()
        pin = self.device.type == "cuda"

        def gather() -> None:
            for indices in order:
                batch = examples.images.index_select(0, indices), examples.labels.index_select(0, indices)
                ready.put((batch[0].pin_memory(), batch[1].pin_memory()) if pin else batch)
                if abandoned.is_set():
                    return
            ready.put(None)

        thread = threading.Thread(target=gather, daemon=True)
        thread.start()
        try:
            while (batch := ready.get()) is not None:
                yield batch[0].to(self.device, non_blocking=True), batch[1].to(self.device, non_blocking=True)
        finally:
            abandoned.set()
            while thread.is_alive():
                try:
                    ready.get(timeout=0.01)
                except queue.Empty:
                    pass


def _tensor(array: NDArray[np.generic]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and we never write
        return torch.from_numpy(array)
