"""Optuna's samplers and pruners, chosen by name."""

import hashlib

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from nas.recipe import Pruner, Sampler

STARTUP_TRIALS = 10
"""Drawn at random before a sampler learns."""


def make_sampler(name: Sampler, seed: int, trials_so_far: int) -> BaseSampler:
    """A sampler whose random numbers depend on the study's seed and on where the study stands.

    Optuna stores no generator state: with the bare seed a resumed study would propose its first trials again.
    """
    digest = hashlib.sha256(f"{seed}:{trials_so_far}".encode()).digest()
    run_seed = int.from_bytes(digest[:4], "big")
    match name:
        case "tpe":
            return TPESampler(seed=run_seed, n_startup_trials=STARTUP_TRIALS)
        case "gp":
            return GPSampler(seed=run_seed, n_startup_trials=STARTUP_TRIALS)
        case "random":
            return RandomSampler(seed=run_seed)


def resolve_pruner(name: Pruner, trials: int) -> Pruner:
    """What `auto` means for a study that starts with this many trials: few need a pruner that waits for
    complete trials to compare with, hundreds can afford to halve."""
    if name != "auto":
        return name
    return "median" if trials <= 30 else "halving"


def make_pruner(name: Pruner, epochs: int) -> BasePruner:
    """A pruner over steps 1..epochs. Numbers are explicit: Optuna's "auto" waits for a complete trial."""
    warmup = max(1, epochs // 5) + 1  # Optuna counts from 0: the first fifth of the epochs is never pruned
    match name:
        case "median":
            return MedianPruner(n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3)
        case "percentile":
            return PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3)
        case "halving":
            return SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3)
        case "hyperband":
            return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
        case "none":
            return NopPruner()
        case "auto":
            raise AssertionError("resolve_pruner comes first")
