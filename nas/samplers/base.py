"""The seam of samplers, who propose trials.

A sampler is a file of this room, or a module that an entry point of the group `nas.samplers` names.
"""

import hashlib
from typing import Protocol

from optuna.samplers import BaseSampler

from nas.machine.plugins import SAMPLERS

STARTUP_TRIALS = 10
"""Drawn at random before a sampler learns."""


class SamplerModule(Protocol):
    """What a file holds."""

    def make(self, seed: int) -> BaseSampler:
        """A sampler of Optuna, or a subclass, that draws its random numbers from `seed` alone."""
        ...


def make_sampler(name: str, seed: int, trials_so_far: int) -> BaseSampler:
    """A sampler whose random numbers depend on the study's seed and on where the study stands.

    Optuna stores no generator state: with the bare seed a resumed study would propose its first trials again.

    Raises:
        UnknownName: there is none of this name.
        BrokenFile: that of another distribution failed, or made none.
    """
    digest = hashlib.sha256(f"{seed}:{trials_so_far}".encode()).digest()
    module: SamplerModule = SAMPLERS.find(name)
    with SAMPLERS.at_work(name):
        sampler = module.make(int.from_bytes(digest[:4], "big"))
    if not isinstance(sampler, BaseSampler):
        raise SAMPLERS.broken(name, f"make() returned {type(sampler).__name__}, no sampler of Optuna")
    return sampler
