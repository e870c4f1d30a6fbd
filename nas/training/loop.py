"""Train one network, one epoch at a time.

Made for many short trials of small networks: images lie on the device as uint8 and are gathered, augmented
and normalised there in batches; tensors are channels-last, optimizers fused, all batches of one shape; and
nothing waits for the device between the first and the last step of an epoch.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.nn import functional

from nas.space import Training
from nas.training.augment import augment, draw
from nas.training.epoch import Diverged, Epoch
from nas.training.evaluate import evaluate
from nas.training.images import Images
from nas.training.optimizers import make_optimizer, set_learning_rate
from nas.training.peak import peak_memory, reset_peak
from nas.training.schedules import learning_rates

HOPELESS = 10
"""A training loss so many times that of guessing, ln(classes), has diverged."""

EVALUATED_AT_ONCE = 512
"""The most images of a validation batch; no more than of a training batch, so that they need less memory."""


def train(
    model: nn.Module,
    images: Images,
    training: Training,
    *,
    epochs: int,
    precision: Literal["fp32", "bf16"],
    seed: int,
    accumulation: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Train `model` in place on the device of `images`; yields after each epoch, validation included.

    The same model, settings and seed give the same epochs: on a CPU bit for bit, given as many threads,
    whatever the process does before and in between. Shuffling and augmentation are the same on every device.

    A batch size above the number of images means all of them. Images that fill no batch are left out of an
    epoch, others each time.

    Args:
        accumulation: micro-batches whose gradients add up to the step of one batch.
        should_stop: asked before every step; when true, training ends without the epoch it is in.

    Raises:
        Diverged: a loss is not finite, or the training loss of an epoch exceeds ten times ln(classes).
    """
    device = images.device
    model.to(device)
    cast(Any, model).to(memory_format=torch.channels_last)  # torch 2.13 does not declare it
    optimizer = make_optimizer(model, training)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    generator = torch.Generator().manual_seed(seed)

    batch_size = min(training.batch_size, len(images.train))
    steps = len(images.train) // batch_size
    count = steps * batch_size
    learning_rate = learning_rates(training, steps * epochs)
    _, height, width = images.info.shape

    for number in range(1, epochs + 1):
        reset_peak(device)
        began = time.perf_counter()
        order = torch.randperm(len(images.train), generator=generator)[:count]
        drawn = draw(count, height, width, generator).to(device)
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))  # of dropout
        model.train()
        total = torch.zeros((), device=device)
        rate = 0.0

        batches = zip(images.train.batches(order, batch_size), torch.split(drawn, batch_size), strict=True)
        for step, ((pixels, labels), choices) in enumerate(batches):
            if should_stop():
                return
            rate = learning_rate((number - 1) * steps + step)
            set_learning_rate(optimizer, rate)
            micro_batches = (tensor.chunk(accumulation) for tensor in (pixels, labels, choices))
            for some_pixels, some_labels, some_choices in zip(*micro_batches, strict=True):
                augmented = augment(some_pixels, some_choices, training.augmentation, images.mean_color)
                with autocast:
                    logits = model(images.normalise(augmented))
                losses = functional.cross_entropy(
                    logits.float(), some_labels, label_smoothing=training.label_smoothing, reduction="sum"
                )
                loss = losses / batch_size
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        train_loss = total.item() / steps  # the first look at the device since the epoch began
        trained = time.perf_counter()
        if not train_loss <= HOPELESS * math.log(images.info.num_classes):
            raise Diverged(f"a training loss of {train_loss:.3g} in epoch {number}")
        val_loss, val_accuracy = evaluate(
            model,
            images,
            images.val,
            precision=precision,
            batch_size=min(EVALUATED_AT_ONCE, math.ceil(batch_size / accumulation)),
        )
        if not math.isfinite(val_loss):
            raise Diverged(f"a validation loss of {val_loss} in epoch {number}")
        yield Epoch(
            number=number,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - began,
            images_per_second=count / (trained - began),
            peak_memory=peak_memory(device),
        )
