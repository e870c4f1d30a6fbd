"""How a network is trained: the part of a proposal that every search space samples alike."""

from typing import cast

from optuna.trial import BaseTrial

from nas.space import DataInfo, Optimizer, Schedule, Training
from search_spaces.parts.tenths import suggest_tenths

OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam", "adamw", "nadam")
SCHEDULES: tuple[Schedule, ...] = ("constant", "step", "cosine", "restarts", "onecycle")
LADDER = ("shift", "flip", "cutout")

LOG2_BATCH_SIZE = (5, 9)
STEPS_PER_EPOCH = 8
"""No epoch has fewer steps, unless the smallest batch size already makes fewer."""

LEARNING_RATES = {"sgd": (1e-2, 2e-1), "adam": (5e-4, 1e-2)}
WEIGHT_DECAYS = {"sgd": (1e-5, 1e-3), "adam": (1e-6, 1e-4), "adamw": (1e-3, 1e-1)}


def suggest_training(trial: BaseTrial, data: DataInfo) -> Training:
    """Propose batch size, optimizer, schedule and regularisation.

    Learning rate and weight decay mean different things to different optimizers, so each family has
    parameters of its own: `learning_rate_sgd` and `learning_rate_adam` (adam, adamw and nadam);
    `weight_decay_sgd`, `weight_decay_adam` (adam and nadam, an L2 penalty) and `weight_decay_adamw`
    (decoupled).
    """
    batch_size = 2 ** trial.suggest_int("log2_batch_size", *_log2_batch_sizes(data.num_train))
    optimizer = cast(Optimizer, trial.suggest_categorical("optimizer", OPTIMIZERS))
    family = "sgd" if optimizer == "sgd" else "adam"
    learning_rate = trial.suggest_float(f"learning_rate_{family}", *LEARNING_RATES[family], log=True)
    decay = "adam" if optimizer == "nadam" else optimizer
    weight_decay = trial.suggest_float(f"weight_decay_{decay}", *WEIGHT_DECAYS[decay], log=True)
    schedule = cast(Schedule, trial.suggest_categorical("schedule", SCHEDULES))
    # onecycle brings a warm-up of its own
    warmup = 0.0 if schedule == "onecycle" else suggest_tenths(trial, "warmup", 0.2)
    label_smoothing = suggest_tenths(trial, "label_smoothing", 0.2)
    augmentation = trial.suggest_categorical("augmentation", _ladder(data.augmentations))
    return Training(
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        warmup=warmup,
        label_smoothing=label_smoothing,
        augmentation=() if augmentation == "none" else tuple(augmentation.split("+")),
    )


def _log2_batch_sizes(num_train: int) -> tuple[int, int]:
    low, high = LOG2_BATCH_SIZE
    largest = (num_train // STEPS_PER_EPOCH).bit_length() - 1
    return low, max(low, min(high, largest))


def _ladder(allowed: tuple[str, ...]) -> list[str]:
    """ "none", then one augmentation more at a time, leaving out what the data does not allow."""
    rungs = [name for name in LADDER if name in allowed]
    return ["none", *("+".join(rungs[: count + 1]) for count in range(len(rungs)))]
