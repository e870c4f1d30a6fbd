"""The allocation program of a network: what training allocates and frees, in order, for any batch size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.memory.reduction import THREADS, Reduction
from nas.seconds.work import StepWork

Role = (
    Literal["parameters", "buffers", "gradients", "optimizer_state"]
    | Literal["batch", "activations", "temporaries", "workspace"]
)
Events = tuple[int, ...]
"""In order of time: `block` where it is allocated, `~block` where it is freed. Blocks are numbered from 0."""


class BatchSizes(NamedTuple):
    """Numbers of images."""

    micro_batch: int
    """Images of one forward and backward."""
    accumulation: int = 1
    """How many micro-batches make a batch, and a step. Their pixels lie on the device together."""
    evaluation: int = 0
    """Images of one forward without gradients."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A peak of memory in bytes, part by part."""

    parameters: int = 0
    buffers: int = 0
    gradients: int = 0
    """Gradients of parameters, as far as they exist at the peak."""
    optimizer_state: int = 0
    batch: int = 0
    """Images and labels."""
    activations: int = 0
    """What a forward computes, and keeps for the backward: bf16 copies of weights too, logits and loss."""
    temporaries: int = 0
    """All other tensors: gradients of activations, copies made by the optimizer, all of an evaluation."""
    fragmentation: int = 0
    """What the caching allocator holds beyond the tensors."""
    workspace: int = 0
    """What CUDA's libraries keep inside the caching allocator. On a CPU: what a kernel takes for itself."""
    data: int = 0
    """The dataset, where it lies on the device."""
    context: int = 0
    """What a process takes outside the caching allocator."""

    @property
    def allocated(self) -> int:
        """Peak of the tensors of training."""
        return self.reserved - self.fragmentation - self.workspace - self.data

    @property
    def reserved(self) -> int:
        """Peak of the segments of the caching allocator."""
        return self.total - self.context

    @property
    def total(self) -> int:
        """Peak of the process."""
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, int]:
        """Every part by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Untraceable(NasError):
    """A network whose memory cannot be predicted."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The memory of this network cannot be predicted: {reason}.")


@dataclass(frozen=True, eq=False)
class Trace:
    """What training allocates and frees at one batch size."""

    roles: tuple[Role, ...]
    """What each block is for."""
    sizes: tuple[int, ...]
    """Bytes of each block."""
    reductions: dict[int, Reduction]
    """Blocks whose bytes are a reduction's scratch."""
    of_batch: frozenset[int]
    """Blocks that hold the whole batch rather than a micro-batch."""
    load: Events
    """Parameters and buffers, which stay."""
    step: Events
    """The first training step, from its batch to the release of its gradients. What it leaves behind is the
    state of the optimizer."""
    evaluation: Events
    """A forward without gradients, on as many images."""
    work: StepWork
    """What is done in a step, and in that forward."""


@dataclass(frozen=True, eq=False)
class AllocationProgram:
    """What training allocates and frees at any batch size: the bytes of every block are affine in it, but for
    the scratch of reductions.

    The peak is not: it moves from event to event as the batch grows, and is found by replaying the program.
    """

    trace: Trace
    base: NDArray[np.int64]
    """Bytes of each block at no image."""
    per_image: NDArray[np.int64]
    """Bytes that one more image adds to each block."""
    images: tuple[int, int]
    """Numbers of images of two traces."""
    other: Trace
    """The second of these."""

    @classmethod
    def from_traces(cls, small: Trace, large: Trace, images: tuple[int, int]) -> Self:
        """Join two traces of one network, made with two numbers of `images`.

        Blocks match by number. Frees are those of the first trace: autocast drops its copies of weights in
        the order of a hash table, which no two runs share.

        Raises:
            Untraceable: the traces do not match.
        """
        if small.roles != large.roles or small.reductions.keys() != large.reductions.keys():
            raise Untraceable("it computes otherwise at another batch size")
        few, many = images
        sizes = np.array(small.sizes)
        per_image = (np.array(large.sizes) - sizes) // (many - few)
        return cls(small, sizes - few * per_image, per_image, images, large)

    @classmethod
    def from_trace(cls, trace: Trace, images: int) -> Self:
        """For micro-batches of `images` alone, without an evaluation: one of no more images needs less."""
        sizes = np.array(trace.sizes)
        of_batch = list(trace.of_batch)
        per_image = np.zeros_like(sizes)
        per_image[of_batch] = sizes[of_batch] // images
        return cls(trace, sizes - images * per_image, per_image, (images, images), trace)

    @cached_property
    def later_step(self) -> Events:
        """Every training step after the first: it finds the optimizer's state."""
        freed = {~event for event in self.trace.step if event < 0}
        return tuple(event for event in self.trace.step if event < 0 or event in freed)

    def replay(self, steps: int = 3) -> Iterator[int]:
        """The events of so many training steps, an evaluation, and a step after it."""
        yield from self.trace.load
        yield from self.trace.step
        for _ in range(steps - 1):
            yield from self.later_step
        yield from self.trace.evaluation
        yield from self.later_step

    def sizes(self, batches: BatchSizes, threads: int = THREADS) -> NDArray[np.int64]:
        """Bytes of each block, on a card that runs so many threads at once."""
        images = np.full(len(self.base), batches.micro_batch)
        images[list(self.trace.of_batch)] *= batches.accumulation
        images[[event for event in self.trace.evaluation if event >= 0]] = batches.evaluation
        sizes: NDArray[np.int64] = self.base + self.per_image * images
        few, many = self.images
        for block, reduction in self.trace.reductions.items():
            part = (int(images[block]) - few) / (many - few) if many > few else 0.0
            sizes[block] = reduction.between(self.other.reductions[block], part).scratch(threads)
        return sizes

    def work(self, batches: BatchSizes) -> StepWork:
        """What is done in a step of such batches, and in an evaluation of one."""
        few, many = self.images
        if few == many:
            return self.trace.work

        def at(images: int) -> StepWork:
            return self.trace.work.between(self.other.work, (images - few) / (many - few))

        return replace(at(batches.micro_batch), evaluation=at(batches.evaluation).evaluation)

    def peak(self, batches: BatchSizes, threads: int = THREADS) -> Memory:
        """The most that live tensors need at once, from the second step on, evaluation included."""
        start, events, signs = self._timeline
        blocks = np.where(signs > 0, events, ~events)
        sizes = self.sizes(batches, threads)
        live = np.cumsum(signs * sizes[blocks])
        end = start + int(np.argmax(live[start:])) + 1
        count = np.bincount(blocks[:end], weights=signs[:end], minlength=len(sizes))
        parts: dict[str, int] = {}
        for role, size in zip(self.trace.roles, sizes * count.astype(np.int64), strict=True):
            parts[role] = parts.get(role, 0) + int(size)
        return Memory(**parts)

    @cached_property
    def _timeline(self) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
        """Where the second step starts; all events up to its end and the evaluation after it; their signs."""
        before = (*self.trace.load, *self.trace.step)
        events = np.array([*before, *self.later_step, *self.trace.evaluation])
        return len(before), events, np.where(events >= 0, 1, -1)
