"""Train one network, one epoch at a time.

Made for many short trials of small networks: images lie on the device as uint8 and are gathered, augmented and
normalised there in batches; tensors are channels-last, optimizers fused, all batches of one shape; nothing waits
for the device between the first and the last step of an epoch.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from nas.space import Training
from nas.training.augment import make_augmentation
from nas.training.epoch import Diverged, Epoch
from nas.training.evaluate import evaluate
from nas.training.images import Images
from nas.training.optimizers import make_optimizer, set_learning_rate
from nas.training.peak import peak_memory, reset_peak
from nas.training.schedules import learning_rates

HOPELESS = 10
"""A training loss so many times that of guessing, ln(classes), is a diverged one."""


def train(
    model: nn.Module,
    images: Images,
    training: Training,
    *,
    epochs: int,
    precision: Literal["fp32", "bf16"],
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Train `model` in place on the device of `images`; yields after each epoch, validation included.

    The same model, settings and seed give the same epochs, bit for bit on a CPU with as many threads, whatever the
    process did before. A batch size above the number of images means all of them; what an epoch's whole batches
    leave over is left out of that epoch.

    Args:
        should_stop: asked before every step; when true, training ends without the epoch it is in.

    Raises:
        Diverged: the training loss of an epoch is not finite, or above ten times ln(classes).
    """
    device = images.device
    torch.manual_seed(seed)  # of dropout
    shuffle = torch.Generator().manual_seed(seed)
    fill = (-images.bias / images.scale)[0, 0].round().to(torch.uint8)
    augment = make_augmentation(training.augmentation, seed, fill)
    model.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, training)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    batch_size = min(training.batch_size, len(images.train))
    steps = len(images.train) // batch_size
    rate_of = learning_rates(training, steps * epochs)

    for number in range(1, epochs + 1):
        reset_peak(device)
        began = time.perf_counter()
        model.train()
        total = torch.zeros((), device=device)
        rate = 0.0
        order = torch.randperm(len(images.train), generator=shuffle)[: steps * batch_size]
        for step, (pixels, labels) in enumerate(images.batches(images.train, order, batch_size)):
            if should_stop():
                return
            rate = rate_of((number - 1) * steps + step)
            set_learning_rate(optimizer, rate)
            with autocast:
                logits = model(images.normalise(augment(pixels)))
            loss = functional.cross_entropy(logits.float(), labels, label_smoothing=training.label_smoothing)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        train_loss = total.item() / steps  # the first look at the device since the epoch began
        trained = time.perf_counter()
        if not train_loss <= HOPELESS * math.log(max(2, images.num_classes)):
            raise Diverged(f"a training loss of {train_loss:.3g} in epoch {number}")

        val_loss, val_accuracy = evaluate(model, images, images.val, autocast)
        yield Epoch(
            number=number,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - began,
            images_per_second=steps * batch_size / (trained - began),
            peak_memory=peak_memory(device),
        )
