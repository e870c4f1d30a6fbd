"""From a network to its allocation program: training rehearsed in miniature, followed storage by storage.

PyTorch itself runs a step, as `nas.training.loop` does, on fake tensors that have shapes and storages but no
bytes: every layer that PyTorch knows is known here, and no GPU is touched. The tensors bear the label "cpu",
because the backward of fake CUDA tensors would ask for a GPU; their sizes are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from nas.errors import in_one_line
from nas.memory.activation_checkpoints import checkpointed
from nas.memory.cuda_functions import CudaFunctions
from nas.memory.prediction import Device
from nas.memory.program import AllocationProgram, Trace, Untraceable
from nas.memory.recorder import Recorder
from nas.memory.weightless import copy_without_memory
from nas.seconds.work import StepWork
from nas.space import Training
from nas.training.augment import Augmentation
from nas.training.averaging import WeightAverage
from nas.training.logits import check_logits
from nas.training.loss import cross_entropy
from nas.training.mixup import mix, mixed_cross_entropy
from nas.training.optimizers import make_optimizers
from nas.training.values import DTYPES, values

Precision = Literal["fp32", "bf16"]

IMAGES = (8, 16)
"""Of two rehearsals. Any two numbers would do: batch norm alone needs more than one image."""


def trace_training(
    network: nn.Module,
    shape: tuple[int, int, int],
    training: Training,
    *,
    precision: Precision = "fp32",
    accumulate: bool = False,
    checkpointing: bool = False,
    kernels: Device | None = None,
    images: int | None = None,
    classes: int | None = None,
    bits: int = 8,
) -> AllocationProgram:
    """Follow a training step and an evaluation of `network` on images of `shape` (channels, height, width).

    The network may lie on any device, and is neither run nor changed. With `accumulate` a step has two
    micro-batches; more of them need no more memory, but for their pixels.

    Args:
        kernels: compute as those of this device do, and count what they take and give back at once, as
            workspace. If None, the tensors alone count, as a CPU has them.
        images: of a micro-batch, and of no evaluation; if None, batch sizes are left open, which takes twice
            the time.
        classes: that the network must tell apart. If None it may do anything: what gives a vector an image is
            trained as a classifier, and of anything else the loss is the mean of all outputs.
        bits: of a value of a pixel, 8 or 16.

    Raises:
        Untraceable: the network depends on values of tensors, computes otherwise at another batch size, or
            fails on tensors without bytes, as it may on real ones.
        WrongLogits: it does not give (batch, classes).
    """
    traces = []
    functions = CudaFunctions() if kernels == "cuda" else nullcontext()
    try:
        for number in (images,) if images else IMAGES:
            with FakeTensorMode(allow_non_fake_inputs=True), functions, _silence():
                rehearsal = _Rehearsal(
                    network, shape, training, precision, checkpointing, kernels, number, classes, bits
                )
                traces.append(rehearsal.trace(accumulate, evaluate=images is None))
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise Untraceable(
            f"its forward needs the values of tensors, not just their shapes ({error})"
        ) from error
    except RuntimeError as error:
        what = in_one_line(error).rstrip(".")
        raise Untraceable(f"a step on tensors without bytes ends in {what}") from error
    if images:
        return AllocationProgram.from_trace(traces[0], images)
    few, many = traces
    return AllocationProgram.from_traces(few, many, IMAGES)


@contextmanager
def _silence() -> Iterator[None]:
    """PyTorch logs whatever fails on fake tensors; the error itself says it better."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = disabled


class _Rehearsal:
    """Training as `nas.training.loop` does it, without content."""

    def __init__(
        self,
        network: nn.Module,
        shape: tuple[int, int, int],
        training: Training,
        precision: Precision,
        checkpointing: bool,
        kernels: Device | None,
        images: int,
        classes: int | None,
        bits: int,
    ) -> None:
        self.pixel = DTYPES[bits]
        self.classes = classes
        self.recorder = Recorder(kernels)
        self.model = copy_without_memory(network, _empty)
        self.recorder.label("parameters", *self.model.parameters())
        self.recorder.label("buffers", *self.model.buffers())
        self.average = None
        if training.ema_decay:
            model = copy_without_memory(network, _empty)
            self.average = WeightAverage(model, training.ema_decay)
            self.recorder.label("optimizer_state", *model.parameters(), *model.buffers())
        fill, generator = torch.zeros(shape[0], dtype=self.pixel), torch.Generator()
        self.augmentation = Augmentation(training.augmentation, shape, images, fill, generator)
        self.drawn = self.augmentation.draw(torch.arange(images), 1, generator)
        self.recorder.label("batch", self.augmentation.grain)
        self.class_weights = None
        if training.class_weights is not None and classes is not None:
            self.class_weights = torch.ones(classes)
            self.recorder.label("batch", self.class_weights)
        self.load = self.recorder.take_events()
        has_weights = any(parameter.requires_grad for parameter in self.model.parameters())
        self.optimizers = make_optimizers(self.model, training, precision) if has_weights else []
        if checkpointing:
            self.model = checkpointed(self.model)
        channels, height, width = shape
        self.pixels_shape = images, height, width, channels
        self.training = training
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    def trace(self, accumulate: bool, evaluate: bool) -> Trace:
        with self.recorder:
            self.model.train()
            self.recorder.take_work()
            of_batch = self._step(accumulate)
            rest = self.recorder.take_work()
            self.recorder.label_temporaries("optimizer_state")
            step = self.recorder.take_events()
            if evaluate:
                self.model.eval()
                self._evaluate()
            evaluation = self.recorder.take_events()
            work = StepWork(
                micro_batch=self.micro_batch_work, step=rest, evaluation=self.recorder.take_work()
            )
        return Trace(
            roles=tuple(self.recorder.roles),
            sizes=tuple(self.recorder.sizes),
            reductions=self.recorder.reductions,
            of_batch=frozenset(of_batch),
            load=self.load,
            step=step,
            evaluation=evaluation,
            work=work,
        )

    def _step(self, accumulate: bool) -> list[int]:
        """Returns the blocks of the whole batch."""
        pixels, labels = self._batch()
        of_batch = self.recorder.label("batch", pixels, labels)
        for _ in range(2 if accumulate else 1):
            self._train(pixels, labels)
            self.micro_batch_work = self.recorder.take_work()
        gradients = (parameter.grad for parameter in self.model.parameters())
        self.recorder.label("gradients", *(gradient for gradient in gradients if gradient is not None))
        if self.training.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad()
        if self.average:
            self.average.update(self.model, 1)
        return of_batch

    def _train(self, pixels: Tensor, labels: Tensor) -> None:
        """One micro-batch."""
        if self.training.augmentation:
            with torch.no_grad():  # what comes and goes in it is temporary
                pixels = self.augmentation(pixels, self.drawn)
            self.recorder.label("batch", pixels)
        smoothing = self.training.label_smoothing
        output = self._forward(mix(pixels, 0.5) if self.training.mixup else pixels)
        if not isinstance(output, Tensor):
            loss = _mean(output)
        elif self.training.mixup:
            loss = mixed_cross_entropy(output, labels, 0.5, smoothing, self.class_weights)
        else:
            loss = cross_entropy(output, labels, smoothing, self.class_weights)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _evaluate(self) -> None:
        pixels, labels = self._batch()
        self.recorder.label("batch", pixels, labels)
        output = self._forward(pixels)
        if isinstance(output, Tensor):
            F.cross_entropy(output, labels)

    def _batch(self) -> tuple[Tensor, Tensor]:
        pixels = torch.empty(self.pixels_shape, dtype=self.pixel)
        return pixels, torch.zeros(len(pixels), dtype=torch.long)

    def _forward(self, pixels: Tensor) -> Tensor | list[Tensor]:
        """Logits; or every tensor that comes out, of a network that is no classifier."""
        with self.autocast:
            output = self.model(self._normalised(pixels))
        if self.classes is not None:
            check_logits(output, len(pixels), self.classes)
        elif not _is_vector_of_each(output, len(pixels)):
            return [each for each in tree_leaves(output) if isinstance(each, Tensor)]
        return output.float()  # type: ignore[no-any-return]

    def _normalised(self, pixels: Tensor) -> Tensor:
        images = values(pixels)
        self.recorder.label("batch", images)
        return images.permute(0, 3, 1, 2)


def _is_vector_of_each(output: object, images: int) -> bool:
    if not isinstance(output, Tensor) or output.ndim != 2:
        return False
    return len(output) == images and output.is_floating_point()


def _mean(outputs: list[Tensor]) -> Tensor:
    """Of all numbers that come out."""
    numbers = [each.abs() if each.is_complex() else each.float() for each in outputs]
    if not numbers:
        raise Untraceable("no tensor comes out of it")
    return sum(each.sum() for each in numbers) / sum(each.numel() for each in numbers)  # type: ignore[return-value]


def _empty(tensor: Tensor) -> Tensor:
    """A fake one, channels last as training has them."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", memory_format=layout)
