"""The training and validation images on a device: held there as integers, or streamed there in batches."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.datasets import ImageData, Split
from nas.space import DataInfo
from nas.training.values import DTYPES, rounded, values

PREFETCHED = 2
"""Batches that are gathered ahead of their use while images are streamed."""

Batch = tuple[Tensor, Tensor]
"""Images (batch, height, width, channels), uint8 or as `nas.training.values` has them, and int64 labels
(batch,)"""


@dataclass(frozen=True, eq=False)
class Examples:
    """One split: on the device, or in the memory map that it is streamed from."""

    images: Tensor
    """(n, height, width, channels): uint8, or int16 with the bits of uint16"""
    labels: Tensor
    """int64 (n,)"""
    device: torch.device
    """Device that batches go to."""
    resident: bool
    """Whether the split lies on that device."""

    @classmethod
    def load(cls, split: Split, device: torch.device, *, resident: bool = True) -> Examples:
        """Bring a split to a device.

        On the CPU nothing is copied: the tensors are the memory map itself, shared by all workers.

        Args:
            resident: hold the images on the device; otherwise a thread gathers batches from the map, ahead of
                their use, and each is copied to the device.
        """
        images, labels = _tensor(split.images), _tensor(split.labels)
        if resident:
            images, labels = images.to(device), labels.to(device)
        return cls(images, labels, device, resident)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def all_labels(self) -> tuple[Tensor, ...]:
        """int64, in one part or more."""
        return (self.labels,)

    def batches(self, order: Tensor, batch_size: int) -> Iterator[Batch]:
        """Batches on the device, in the given order (int64 indices on the CPU); the last may be smaller."""
        if not self.resident:
            return self._stream(torch.split(order, batch_size))
        parts = torch.split(pinned(order, self.device), batch_size)
        return (self._gather(rows.to(self.device, non_blocking=True)) for rows in parts)

    def _gather(self, rows: Tensor) -> Batch:
        return self.images.index_select(0, rows), self.labels.index_select(0, rows)

    def _stream(self, batches: tuple[Tensor, ...]) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as thread:
            ahead = deque[Future[Batch]]()
            for rows in batches:
                ahead.append(thread.submit(self._fetch, rows))
                if len(ahead) > PREFETCHED:
                    yield self._send(ahead.popleft().result())
            while ahead:
                yield self._send(ahead.popleft().result())

    def _fetch(self, rows: Tensor) -> Batch:
        images, labels = self._gather(rows)
        return pinned(images, self.device), pinned(labels, self.device)

    def _send(self, batch: Batch) -> Batch:
        images, labels = batch
        return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class Joined(Examples):
    """Two splits as one, without a copy of either: first the one that it is, then `more`."""

    more: Examples

    def __len__(self) -> int:
        return len(self.labels) + len(self.more)

    @property
    def all_labels(self) -> tuple[Tensor, ...]:
        return (self.labels, *self.more.all_labels)

    def _gather(self, rows: Tensor) -> Batch:
        """A row of both for every row asked for, and a choice: it waits for no device."""
        first = len(self.labels)
        images, labels = super()._gather(rows.clamp(max=first - 1))
        others, their_labels = self.more._gather((rows - first).clamp(min=0))
        late = rows >= first
        return torch.where(late[:, None, None, None], others, images), torch.where(late, their_labels, labels)


@dataclass(frozen=True, eq=False)
class Images:
    """What every trial of a worker trains and validates on; loaded once."""

    info: DataInfo
    device: torch.device
    train: Examples
    val: Examples
    scale: Tensor
    """float32 (height, width, channels), of the normalisation `pixel * scale + bias`."""
    bias: Tensor
    """float32 (height, width, channels), of the same normalisation."""
    mean_color: Tensor
    """(channels,), of the type of the images: what normalisation brings closest to zero."""
    classes: tuple[str, ...] = ()
    """Their names, in the order of labels, where anybody names them."""

    @classmethod
    def load(cls, data: ImageData, device: torch.device, *, resident: bool = True) -> Images:
        """Bring a dataset to a device; `resident` as in `Examples.load`."""
        channels, height, width = data.info.shape
        mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        top = 2**data.info.bits - 1
        # as large as an image: the product of whole rows is several times faster than one over the channels
        scale = (1 / (top * std)).expand(height, width, channels).contiguous()
        bias = (-mean / std).expand(height, width, channels).contiguous()
        return cls(
            info=data.info,
            classes=data.classes,
            device=device,
            train=Examples.load(data.train, device, resident=resident),
            val=Examples.load(data.val, device, resident=resident),
            scale=scale.to(device),
            bias=bias.to(device),
            mean_color=rounded(top * mean, DTYPES[data.info.bits]).to(device),
        )

    def with_val(self) -> Images:
        """The same, with the validation images as training images too."""
        return replace(self, train=Joined(**vars(self.train), more=self.val))

    def normalise(self, images: Tensor) -> Tensor:
        """float32 (batch, channels, height, width), channels-last in memory, from a batch's images.

        Args:
            images: (batch, height, width, channels); a batch's, or floats of its range, overwritten.
        """
        pixels = values(images)
        return torch.addcmul(self.bias, pixels, self.scale, out=pixels).permute(0, 3, 1, 2)


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """What parts of `tensor` can be copied to the device from without waiting for it: a copy from pageable
    memory waits for what the device has to do before."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def _tensor(array: NDArray[np.generic]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and we never write
        if array.dtype == np.uint16:
            array = array.view(np.int16)  # of which PyTorch can do more
        return torch.from_numpy(array)
