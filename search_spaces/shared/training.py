"""How a network is trained: the part of a proposal that every search space samples alike."""

from dataclasses import replace
from typing import cast

from optuna.trial import BaseTrial

from nas.space import AUGMENTATIONS, DataInfo, Optimizer, Schedule, Training
from search_spaces.shared.tenths import suggest_tenths

OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam", "adamw", "nadam")
SCHEDULES: tuple[Schedule, ...] = ("constant", "step", "cosine", "restarts", "onecycle")
WIDE_OPTIMIZERS: tuple[Optimizer, ...] = (*OPTIMIZERS, "muon")
WIDE_SCHEDULES: tuple[Schedule, ...] = (*SCHEDULES, "linear", "plateau")

LADDER = ("shift", "flip", "cutout")
EXTRAS = {"rotation": {"rotation"}, "colour": {"brightness", "contrast"}, "noise": {"noise"}}
"""Parameters, and the augmentations that each adds to those of the ladder."""

CLIP_NORMS = (0.0, 1.0)
EMA_DECAYS = (0.0, 0.95, 0.99)

LOG2_BATCH_SIZE = (5, 9)
STEPS_PER_EPOCH = 8
"""No epoch has fewer steps, unless the smallest batch size already makes fewer."""

LEARNING_RATES = {"sgd": (1e-2, 2e-1), "adam": (5e-4, 1e-2)}
WEIGHT_DECAYS = {"sgd": (1e-5, 1e-3), "adam": (1e-6, 1e-4), "adamw": (1e-3, 1e-1)}


def suggest_training(trial: BaseTrial, data: DataInfo) -> Training:
    """Propose batch size, optimizer, schedule and regularisation.

    Learning rate and weight decay mean different things to different optimizers, so each family has
    parameters of its own: `learning_rate_sgd` and `learning_rate_adam` (all others); `weight_decay_sgd`,
    `weight_decay_adam` (adam and nadam, an L2 penalty) and `weight_decay_adamw` (decoupled).
    """
    return _suggest(trial, data, OPTIMIZERS, SCHEDULES)


def suggest_wide_training(trial: BaseTrial, data: DataInfo) -> Training:
    """As `suggest_training`, out of everything that training offers."""
    return suggest_extras(trial, data, _suggest(trial, data, WIDE_OPTIMIZERS, WIDE_SCHEDULES))


def suggest_extras(trial: BaseTrial, data: DataInfo, training: Training) -> Training:
    """`training` with everything that only wide training offers."""
    chosen = set(training.augmentation)
    alternating = "flip" in chosen and "alternating_flip" in data.augmentations
    if alternating and trial.suggest_categorical("alternating_flip", [False, True]):
        chosen = chosen - {"flip"} | {"alternating_flip"}
    for name, extra in EXTRAS.items():
        if extra <= set(data.augmentations) and trial.suggest_categorical(name, [False, True]):
            chosen |= extra
    return replace(
        training,
        augmentation=tuple(name for name in AUGMENTATIONS if name in chosen),
        mixup=suggest_tenths(trial, "mixup", 0.4),
        clip_norm=trial.suggest_categorical("clip_norm", CLIP_NORMS),
        ema_decay=trial.suggest_categorical("ema_decay", EMA_DECAYS),
    )


def standard_training(data: DataInfo) -> Training:
    """How every baseline is trained: settings that suit most networks, with nothing to choose."""
    return Training(
        batch_size=64,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        schedule="onecycle",
        augmentation=tuple(name for name in ("shift", "flip") if name in data.augmentations),
    )


def _suggest(
    trial: BaseTrial, data: DataInfo, optimizers: tuple[Optimizer, ...], schedules: tuple[Schedule, ...]
) -> Training:
    batch_size = 2 ** trial.suggest_int("log2_batch_size", *_log2_batch_sizes(data.num_train))
    optimizer = cast(Optimizer, trial.suggest_categorical("optimizer", optimizers))
    family = "sgd" if optimizer == "sgd" else "adam"
    learning_rate = trial.suggest_float(f"learning_rate_{family}", *LEARNING_RATES[family], log=True)
    decay = {"nadam": "adam", "muon": "adamw"}.get(optimizer, optimizer)
    weight_decay = trial.suggest_float(f"weight_decay_{decay}", *WEIGHT_DECAYS[decay], log=True)
    schedule = cast(Schedule, trial.suggest_categorical("schedule", schedules))
    # onecycle brings a warm-up of its own
    warmup = 0.0 if schedule == "onecycle" else suggest_tenths(trial, "warmup", 0.2)
    label_smoothing = suggest_tenths(trial, "label_smoothing", 0.2)
    return Training(
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        warmup=warmup,
        label_smoothing=label_smoothing,
        augmentation=augmentations(trial, data),
    )


def augmentations(trial: BaseTrial, data: DataInfo) -> tuple[str, ...]:
    """Propose a rung of the ladder."""
    rung = trial.suggest_categorical("augmentation", ladder(data.augmentations))
    return () if rung == "none" else tuple(rung.split("+"))


def _log2_batch_sizes(num_train: int) -> tuple[int, int]:
    low, high = LOG2_BATCH_SIZE
    largest = (num_train // STEPS_PER_EPOCH).bit_length() - 1
    return low, max(low, min(high, largest))


def ladder(allowed: tuple[str, ...]) -> list[str]:
    """ "none", then one augmentation more at a time, leaving out what the data does not allow."""
    rungs = [name for name in LADDER if name in allowed]
    return ["none", *("+".join(rungs[: count + 1]) for count in range(len(rungs)))]
