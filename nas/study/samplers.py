"""Samplers and pruners of a study, by their names."""

import hashlib

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from nas.machine import plugins
from nas.recipe import PRUNERS, SAMPLERS


def make_sampler(name: str, seed: int, trials_so_far: int) -> BaseSampler:
    """A sampler whose random numbers depend on the study's seed and on where the study stands.

    Optuna stores no generator state: with the bare seed a resumed study would propose its first trials again.
    """
    digest = hashlib.sha256(f"{seed}:{trials_so_far}".encode()).digest()
    sampler: BaseSampler = plugins.load("sampler", name, *SAMPLERS).make(int.from_bytes(digest[:4], "big"))
    return sampler


def resolve_pruner(name: str, trials: int) -> str:
    """What `auto` means for a study that starts with this many trials: few need a pruner that waits for
    complete trials to compare with, hundreds can afford to halve."""
    if name != "auto":
        return name
    return "median" if trials <= 30 else "halving"


def make_pruner(name: str, epochs: int) -> BasePruner:
    """A pruner over steps 1..epochs."""
    pruner: BasePruner = plugins.load("pruner", name, *PRUNERS).make(epochs)
    return pruner
