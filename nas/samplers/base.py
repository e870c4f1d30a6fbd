"""The seam of samplers, who propose trials.

A sampler is a file of this room, or a module that an entry point of the group `nas.samplers` names.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

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
        BrokenFile: that of another distribution failed, or made none; what it makes may raise it too.
    """
    digest = hashlib.sha256(f"{seed}:{trials_so_far}".encode()).digest()
    module: SamplerModule = SAMPLERS.find(name)
    with SAMPLERS.at_work(name):
        sampler = module.make(int.from_bytes(digest[:4], "big"))
    if not isinstance(sampler, BaseSampler):
        raise SAMPLERS.broken(name, f"make() returned {type(sampler).__name__}, no sampler of Optuna")
    return sampler if name in SAMPLERS.shipped() else _Theirs(name, sampler)


def _shown(method: str) -> Callable[..., Any]:
    """The method of the sampler that a `_Theirs` holds."""

    def call(self: "_Theirs", *arguments: Any, **named: Any) -> Any:
        with SAMPLERS.at_work(self._name):
            return getattr(self._sampler, method)(*arguments, **named)

    return call


class _Theirs(BaseSampler):
    """A sampler of another distribution, whose errors are shown with its name and line."""

    def __init__(self, name: str, sampler: BaseSampler) -> None:
        self._name, self._sampler = name, sampler

    infer_relative_search_space = _shown("infer_relative_search_space")
    sample_relative = _shown("sample_relative")
    sample_independent = _shown("sample_independent")
    before_trial = _shown("before_trial")
    after_trial = _shown("after_trial")
    reseed_rng = _shown("reseed_rng")
