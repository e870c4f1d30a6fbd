"""Train one network, one epoch at a time.

Made for many short trials of small networks: images lie on the device as uint8 and are gathered, augmented
and normalised there in batches; tensors are channels-last, optimizers fused, all batches of one shape; and
nothing waits for the device between the first and the last step of an epoch.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from nas.metrics.base import ACCURACY, ClassCounts, Named
from nas.space import Training
from nas.training.augment import Augmentation
from nas.training.averaging import WeightAverage
from nas.training.class_weights import class_weights
from nas.training.epoch import Diverged, Epoch
from nas.training.evaluate import evaluate
from nas.training.images import Batch, Images, pinned
from nas.training.live_bytes import LiveBytes
from nas.training.loss import cross_entropy
from nas.training.mixup import draw_shares, mix, mixed_cross_entropy
from nas.training.optimizers import load_state, make_optimizers, set_learning_rate, state_tensors
from nas.training.partial import ENOUGH, PartialReport
from nas.training.pause import Pause
from nas.training.peak import cuda_peaks, peak_resident, reset_peaks
from nas.training.schedules import learning_rates

HOPELESS = 10
"""A training loss so many times that of guessing, ln(classes), has diverged."""

EVALUATED_AT_ONCE = 512
"""The most images of a validation batch; no more than of a training batch, so that they need less memory."""


class Trainer:
    """Trains a network in place, and can be interrupted after any step.

    The same model, settings and seed give the same epochs: on a CPU bit for bit, given as many threads,
    whatever the process does before and in between, interrupted or not. Shuffling and augmentation are the
    same on every device.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        training: Training,
        *,
        epochs: int,
        precision: Literal["fp32", "bf16"],
        seed: int,
        accumulation: int = 1,
        metric: str = ACCURACY,
        report_points: Sequence[int] = (),
    ) -> None:
        """Brings `model` to the device of `images`.

        A batch size above the number of images means all of them. Images that fill no batch are left out of
        an epoch, others each time.

        Args:
            accumulation: micro-batches whose gradients add up to the step of one batch.
            metric: what the value of an epoch is.
            report_points: training images after which to look at the validation split within the first
                epoch. What is learned does not depend on it.

        Raises:
            UnknownName: the training weighs a class that the data does not have.
        """
        model.to(images.device)
        cast(Any, model).to(memory_format=torch.channels_last)  # torch 2.13 does not declare it
        self.model = model
        self.images = images
        self.training = training
        self.epochs = epochs
        self.precision = precision
        self.accumulation = accumulation
        self.metric = Named(metric)
        self.counts: ClassCounts | None = None
        """How the validation images were classified after the latest epoch; None before the first."""
        self._batch_size = min(training.batch_size, len(images.train))
        self._steps = len(images.train) // self._batch_size
        self._optimizers = make_optimizers(model, training, precision)
        self._average = (
            WeightAverage(copy.deepcopy(model), training.ema_decay) if training.ema_decay else None
        )
        self._autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")
        self._generator = torch.Generator().manual_seed(seed)
        self._augmentation = Augmentation(
            training.augmentation, images.info.shape, len(images.train), images.mean_color, self._generator
        )
        self._report_points = tuple(report_points)
        self.partial_reports: list[PartialReport] = []
        """Those of the first epoch so far."""
        weights = class_weights(
            training.class_weights, images.train.all_labels, images.info.num_classes, images.classes
        )
        self._class_weights = None if weights is None else weights.to(images.device)
        self._values: list[float] = []
        """Of the epochs so far."""
        self._pause: Pause | None = None
        self._done = 0
        """Steps of the epoch that is being trained; a device may lag a little behind."""
        self._live_bytes = 0

    @property
    def evaluated(self) -> nn.Module:
        """The network whose validation results are told, and whose weights are to be kept."""
        return self._average.model if self._average else self.model

    @property
    def seen(self) -> tuple[int, int, int]:
        """(whole epochs trained, images of the next one that were trained on, images of an epoch)

        For the eye: no device is waited for to know it.
        """
        return len(self._values), self._done * self._batch_size, self._steps * self._batch_size

    def state_dict(self) -> dict[str, Any]:
        """After an epoch, or a stop in its midst: all that what follows depends on.

        Plain values, and the very tensors in use: save or copy them before training goes on. What
        `torch.save` wrote, `torch.load(weights_only=True)` reads.
        """
        return {
            "accuracies": list(self._values),  # the name that checkpoints have always had
            "partial_reports": [asdict(report) for report in self.partial_reports],
            "model": self.model.state_dict(),
            "average": self._average.model.state_dict() if self._average else None,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "generator": self._generator.get_state(),
            "pause": self._pause._asdict() if self._pause else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Before `run`: go on where a trainer with the same settings was saved.

        The device and the accumulation may be others. Tensors of `state` are taken over rather than copied.
        """
        self._values = list(state["accuracies"])
        reports = state.get("partial_reports", ())  # an earlier nas has made none
        self.partial_reports = [PartialReport(**report) for report in reports]
        self.model.load_state_dict(state["model"])
        if self._average:
            self._average.model.load_state_dict(state["average"])
        for optimizer, its_state in zip(self._optimizers, state["optimizers"], strict=True):
            load_state(optimizer, its_state)
        self._generator.set_state(state["generator"].cpu())
        self._pause = Pause(**state["pause"]) if state["pause"] else None

    def run(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        on_report: Callable[[PartialReport], None] = lambda report: None,
    ) -> Iterator[Epoch]:
        """Train the epochs that are left. Yields after each, validation included.

        Args:
            should_stop: asked before every step; when true, training ends in the midst of its epoch. Another
                `run`, of this trainer or of one that loads its state, goes on with that very step.
            on_report: told what a look within an epoch has found.

        Raises:
            Diverged: a loss is not finite, or the training loss of an epoch exceeds ten times ln(classes).
        """
        device = self.images.device
        while (number := len(self._values) + 1) <= self.epochs:
            rates = learning_rates(self.training, self._steps * self.epochs, self._values)
            reset_peaks(device)
            before = self._pause.seconds if self._pause else 0.0
            began = time.perf_counter() - before
            computed = None if before or device.type != "cpu" else time.process_time()
            train_loss = self._train(number, rates, began, should_stop, on_report)
            if train_loss is None:
                return
            trained = time.perf_counter()
            if not train_loss <= HOPELESS * math.log(self.images.info.num_classes):
                raise Diverged(f"a training loss of {train_loss:.3g} in epoch {number}")
            val_loss, self.counts = self._evaluate()
            if not math.isfinite(val_loss):
                raise Diverged(f"a validation loss of {val_loss} in epoch {number}")
            self._values.append(self.metric.value(self.counts))
            allocated, reserved = cuda_peaks(device) or (self._live_bytes, None)
            yield Epoch(
                number=number,
                train_loss=train_loss,
                val_loss=val_loss,
                val_accuracy=int(self.counts.hits.sum()) / len(self.images.val),
                value=self._values[-1],
                learning_rate=rates(number * self._steps - 1),
                seconds=time.perf_counter() - began,
                images_per_second=self._steps * self._batch_size / (trained - began),
                peak_allocated=allocated,
                peak_reserved=reserved,
                peak_resident=peak_resident(),
                busy_seconds=None if computed is None else _busy_since(computed),
            )

    def _evaluate(self, most: int | None = None) -> tuple[float, ClassCounts]:
        """Mean cross-entropy and counts by class on the validation split, or on so many of its images."""
        return evaluate(
            self.evaluated,
            self.images,
            self.images.val,
            precision=self.precision,
            batch_size=min(EVALUATED_AT_ONCE, math.ceil(self._batch_size / self.accumulation)),
            most=most,
        )

    def _train(
        self,
        number: int,
        rates: Callable[[int], float],
        began: float,
        should_stop: Callable[[], bool],
        on_report: Callable[[PartialReport], None],
    ) -> float | None:
        """One epoch, or what is left of it. Returns its mean loss, or None when it was stopped."""
        split, generator, device = self.images.train, self._generator, self.images.device
        pause, self._pause = self._pause, None
        if pause:
            generator.set_state(pause.drawn_from.cpu())
        drawn_from = generator.get_state()
        order = torch.randperm(len(split), generator=generator)[: self._steps * self._batch_size]
        drawn = pinned(self._augmentation.draw(order, number, generator), device)
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))  # of dropout, and of shares
        shares: Sequence[float | None] = [None] * self._steps
        if self.training.mixup:
            shares = draw_shares(self.training.mixup, self._steps)
        done, total = (pause.steps, pause.loss.to(device)) if pause else (0, torch.zeros((), device=device))
        if pause:
            pause.restore_randomness(device)
        self.model.train()
        batches = split.batches(order[done * self._batch_size :], self._batch_size)
        for step, choices in enumerate(torch.split(drawn, self._batch_size)[done:], start=done):
            self._done = step
            if should_stop():
                self._pause = Pause.now(drawn_from, step, total, time.perf_counter() - began)
                return None
            steps_before = (number - 1) * self._steps + step
            set_learning_rate(self._optimizers, rates(steps_before))
            counter = self._counter(step)
            with counter or nullcontext():
                # without a name, which would keep the batch while the next one is gathered
                self._step(next(batches), choices, shares[step], total)
                if self._average:
                    self._average.update(self.model, steps_before + 1)
            if counter:
                self._live_bytes = counter.peak
            if self._reports_after(number, step):
                on_report(self._look((step + 1) * self._batch_size))
        return total.item() / self._steps  # the first look at the device since the epoch began

    def _reports_after(self, number: int, step: int) -> bool:
        """Whether a point of the first epoch lies within this step, which is not its last."""
        before, after = step * self._batch_size, (step + 1) * self._batch_size
        return (
            number == 1
            and step + 1 < self._steps
            and any(before < point <= after for point in self._report_points)
        )

    def _look(self, images_seen: int) -> PartialReport:
        _, counts = self._evaluate(ENOUGH)
        self.model.train()
        val_images = min(ENOUGH, len(self.images.val))
        report = PartialReport(
            images_seen=images_seen,
            val_images=val_images,
            val_accuracy=int(counts.hits.sum()) / val_images,
            value=self.metric.value(counts),
        )
        self.partial_reports.append(report)
        return report

    def _counter(self, step: int) -> LiveBytes | None:
        """For the second step, the first to find the optimizer's state; the only one of an epoch of one step.

        CUDA counts by itself.
        """
        if self._live_bytes or step < min(1, self._steps - 1) or self.images.device.type == "cuda":
            return None
        models = {self.model, self.evaluated}
        weights = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
        others = [self._augmentation.grain, *([] if self._class_weights is None else [self._class_weights])]
        return LiveBytes([*weights, *state_tensors(self._optimizers), *others])

    def _step(self, batch: Batch, choices: Tensor, share: float | None, total: Tensor) -> None:
        """Train on one batch and add its loss to `total`.

        Args:
            choices: what augmentation does to its images, on the CPU.
            share: of the first of two images in their mixture, if images are mixed at all.
        """
        parts = zip(*(tensor.chunk(self.accumulation) for tensor in (*batch, choices)), strict=True)
        for pixels, labels, some_choices in parts:
            total += self._backward(pixels, labels, some_choices, share)
        if self.training.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)

    def _backward(self, pixels: Tensor, labels: Tensor, choices: Tensor, share: float | None) -> Tensor:
        """Add a micro-batch's gradients; returns its part of the batch's mean loss."""
        images, smoothing = self.images, self.training.label_smoothing
        if self.training.augmentation:
            pixels = self._augmentation(pixels, choices.to(images.device, non_blocking=True))
        with self._autocast:
            logits = self.model(images.normalise(pixels if share is None else mix(pixels, share))).float()
        if share is None:
            losses = cross_entropy(logits, labels, smoothing, self._class_weights)
        else:
            losses = mixed_cross_entropy(logits, labels, share, smoothing, self._class_weights)
        loss = losses / self._batch_size
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _busy_since(moment: float) -> float:
    """Seconds since a moment of this process's clock, by thread; those that wait for others spin."""
    return (time.process_time() - moment) / torch.get_num_threads()
