"""How a network is trained, with likely things likely: what did well is common, what never did cannot be had.

Measured on CIFAR-10 with 2,500 training images and 8 epochs (`tests/benchmarks/starts.py`): of 66 random
proposals of cnn_fc with at most 4 million multiply-adds, 4 end below half of the best. `training` offers the
same settings evenly; files of users and stored studies depend on it.
"""

from dataclasses import replace
from typing import Any, cast

from optuna.trial import BaseTrial

from nas.space import DataInfo, Optimizer, Schedule, Training
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import (
    WEIGHT_DECAYS,
    WIDE_OPTIMIZERS,
    augmentations,
    ladder,
    suggest_extras,
)

COMMON, RARE = 0, 5
"""The parameter of `suggest_rarely` for no, and for yes: one value of six."""

OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam", "adamw", "nadam")
CONVOLUTIONS_OPTIMIZERS: tuple[Optimizer, ...] = (*OPTIMIZERS, "muon")
"""For networks that are mostly convolutions: of wide fully connected layers, Muon's products take longer than
all else."""

SCHEDULES: tuple[Schedule, ...] = ("onecycle", "cosine", "restarts", "step", "constant")
WIDE_SCHEDULES: tuple[Schedule, ...] = (*SCHEDULES, "linear", "plateau")

CONSTANT_EMA_DECAY = 0.95
"""A constant rate comes with averaged weights: alone it costs 4 points, with them it gains 3."""

LEARNING_RATES = {"sgd": (1e-2, 3e-1), "adam": (5e-4, 1e-2), "muon": (1e-3, 2e-2)}
FULL_RATE_BATCH_SIZE = 128
"""Smaller batches take the highest rates times the square root of their share of it."""

BARE_RATE = 1 / 3
"""Part of the highest rate that a network without batch norm may have."""

LOG2_BATCH_SIZE = (5, 7)
STEPS_PER_EPOCH = 32
"""Of the largest common batch size, unless the smallest already makes fewer."""

MANY_IMAGES = 20_000
"""From here on a start takes batches of twice the size: it has steps enough, and they take less time."""

LARGER_BATCH = 4
STEPS_OF_LARGER_BATCH = 8


def suggest_rarely(trial: BaseTrial, name: str) -> bool:
    """Propose yes or no; yes in one of six."""
    return trial.suggest_int(name, COMMON, RARE) == RARE


def suggest_likely_training(
    trial: BaseTrial,
    data: DataInfo,
    *,
    batch_norm: bool = True,
    optimizers: tuple[Optimizer, ...] = OPTIMIZERS,
) -> Training:
    """Propose batch size, optimizer, schedule and regularisation.

    Parameters bear the names of `suggest_training`, where they mean the same. The highest learning rate
    depends on the optimizer, on the batch size and on batch norm; a rate above is lowered to it.
    """
    return _suggest(trial, data, optimizers, SCHEDULES, batch_norm)


def suggest_likely_wide_training(trial: BaseTrial, data: DataInfo) -> Training:
    """As `suggest_likely_training`, out of everything that training offers; for networks with batch norm."""
    training = _suggest(trial, data, WIDE_OPTIMIZERS, WIDE_SCHEDULES, batch_norm=True)
    return _averaged(suggest_extras(trial, data, training))


def start_training(
    data: DataInfo, optimizer: Optimizer, learning_rate: float, *, log2_batch_size: int, wide: bool = False
) -> dict[str, Any]:
    """Parameters of a training that suits most networks: one cycle, label smoothing, shifts and flips.

    Args:
        wide: for `suggest_likely_wide_training`.
    """
    decay = _decay_name(optimizer)
    log2_batch_size += data.num_train >= MANY_IMAGES
    params: dict[str, Any] = {
        "log2_batch_size": min(log2_batch_size, _log2_batch_sizes(data.num_train)[1]),
        "larger_batch": COMMON,
        "optimizer": optimizer,
        f"learning_rate_{_family(optimizer)}": learning_rate,
        f"weight_decay_{decay}": {"sgd": 5e-4, "adam": 1e-5, "adamw": 1e-2}[decay],
        "schedule": "onecycle",
        "label_smoothing": 0.1,
        "augmentation": next(each for each in reversed(ladder(data.augmentations)) if "cutout" not in each),
    }
    if not wide:
        return params
    extras: dict[str, Any] = {"alternating_flip": False, "rotation": False, "colour": False, "noise": False}
    return params | extras | {"mixup": 0.0, "clip_norm": 0.0, "ema_decay": 0.0}


def _suggest(
    trial: BaseTrial,
    data: DataInfo,
    optimizers: tuple[Optimizer, ...],
    schedules: tuple[Schedule, ...],
    batch_norm: bool,
) -> Training:
    batch_size = 2 ** trial.suggest_int("log2_batch_size", *_log2_batch_sizes(data.num_train))
    larger = suggest_rarely(trial, "larger_batch")
    if larger and data.num_train // (LARGER_BATCH * batch_size) >= STEPS_OF_LARGER_BATCH:
        batch_size *= LARGER_BATCH
    optimizer = cast(Optimizer, trial.suggest_categorical("optimizer", optimizers))
    low, high = LEARNING_RATES[_family(optimizer)]
    learning_rate = trial.suggest_float(f"learning_rate_{_family(optimizer)}", low, high, log=True)
    highest = high * min(1, batch_size / FULL_RATE_BATCH_SIZE) ** 0.5 * (1 if batch_norm else BARE_RATE)
    decay = _decay_name(optimizer)
    weight_decay = trial.suggest_float(f"weight_decay_{decay}", *WEIGHT_DECAYS[decay], log=True)
    schedule = cast(Schedule, trial.suggest_categorical("schedule", schedules))
    # onecycle brings a warm-up of its own
    warmup = 0.0 if schedule == "onecycle" else suggest_tenths(trial, "warmup", 0.2)
    label_smoothing = suggest_tenths(trial, "label_smoothing", 0.2)
    return _averaged(
        Training(
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=min(learning_rate, highest),
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            label_smoothing=label_smoothing,
            augmentation=augmentations(trial, data),
        )
    )


def _averaged(training: Training) -> Training:
    if training.schedule == "constant" and not training.ema_decay:
        return replace(training, ema_decay=CONSTANT_EMA_DECAY)
    return training


def _family(optimizer: Optimizer) -> str:
    return optimizer if optimizer in ("sgd", "muon") else "adam"


def _decay_name(optimizer: Optimizer) -> str:
    return {"nadam": "adam", "muon": "adamw"}.get(optimizer, optimizer)


def _log2_batch_sizes(num_train: int) -> tuple[int, int]:
    low, high = LOG2_BATCH_SIZE
    largest = (num_train // STEPS_PER_EPOCH).bit_length() - 1
    return low, max(low, min(high, largest))
