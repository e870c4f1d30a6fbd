"""What a search space asks: its parameters with their ranges, and the parameters of its smallest proposal.

Nothing has to be declared twice: both are found by letting the space suggest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.errors import InvalidSetting, NasError, UnknownName
from nas.space import DataInfo, Proposal
from nas.space.load import Space

PROPOSALS = 200
"""So many random proposals are looked at to find the parameters of a space."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a search space."""

    name: str
    distribution: BaseDistribution
    share: float
    """Part of random proposals that have it, in (0, 1]."""

    @property
    def conditional(self) -> bool:
        """Whether it depends on other parameters that it appears at all."""
        return self.share < 1


def parameters(space: Space, data: DataInfo) -> list[Parameter]:
    """All parameters of a space, in the order in which it asks for them; the same list every time."""
    study = _study(RandomSampler(seed=0))
    names: list[str] = []
    seen: Counter[str] = Counter()
    distributions: dict[str, BaseDistribution] = {}
    for _ in range(PROPOSALS):
        trial = study.ask()
        space.suggest(trial, data)
        place = 0
        for name, distribution in trial.distributions.items():
            if name not in seen:
                names.insert(place, name)
                distributions[name] = distribution
            seen[name] += 1
            place = names.index(name) + 1
    return [Parameter(name, distributions[name], seen[name] / PROPOSALS) for name in names]


def smallest(space: Space, data: DataInfo, chosen: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The parameters of the smallest proposal: the lowest of every integer, the first of every choice.

    Of a range of floats, which rarely says anything about size, the middle: geometric on a logarithmic range.

    Args:
        chosen: parameters that are given, as text.

    Raises:
        UnknownName: the space does not ask for one of them.
        InvalidSetting: one of them cannot have its value.
    """
    chosen = chosen or {}
    trial = _study(_Lowest(chosen)).ask()
    space.suggest(trial, data)
    for name in chosen.keys() - trial.params.keys():
        hint = "Some depend on others: nas spaces shows all of them."
        raise UnknownName("parameter", name, trial.params, hint)
    return trial.params


def in_the_middle(space: Space, data: DataInfo, count: int) -> Iterator[tuple[dict[str, Any], Proposal]]:
    """Proposals from the middle half of every range, with any choice; each once, the same every time.

    Fewer than `count`, where the space has no more.
    """
    study = _study(_Middle())
    seen = set[str]()
    for _ in range(count):
        trial = study.ask()
        proposal = space.suggest(trial, data)
        if proposal.digest not in seen:
            seen.add(proposal.digest)
            yield trial.params, proposal


def at_random(space: Space, data: DataInfo, given: Iterable[Mapping[str, Any]]) -> Iterator[Proposal]:
    """A random proposal for each of `given`, parameters that it has; the same ones every time.

    Those that the space fails to make are left out: a search that meets one tells why.
    """
    study = _study(RandomSampler(seed=0))
    for params in given:
        study.enqueue_trial(dict(params))
        with suppress(NasError):
            yield space.suggest(study.ask(), data)


def check_baseline(space: Space, data: DataInfo) -> None:
    """A baseline leaves nothing to sample.

    Raises:
        InvalidSetting: it does.
        NasError: it cannot be used on this data.
    """
    if asked := list(smallest(space, data)):
        listing = ", ".join(asked[:3]) + (" and others" if len(asked) > 3 else "")
        raise InvalidSetting(f"{space.name} is no baseline: it leaves {listing} to be sampled.")


def _study(sampler: BaseSampler) -> Study:
    """A study in memory, about which Optuna keeps quiet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler)


class _Independent(BaseSampler):
    """Answers every suggestion by itself."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


class _Middle(_Independent):
    """Draws from the middle half of every range."""

    def __init__(self) -> None:
        self._random = Random(0)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        share = self._random.uniform(1 / 4, 3 / 4)
        match param_distribution:
            case CategoricalDistribution(choices=choices):
                return self._random.choice(choices)
            case IntDistribution(low=low, high=high, log=True):
                return round(low * (high / low) ** share)
            case IntDistribution(low=low, high=high, step=step):
                return low + step * round(share * ((high - low) // step))
            case FloatDistribution(low=low, high=high, log=True):
                return low * (high / low) ** share
            case FloatDistribution(low=low, high=high, step=None):
                return low + share * (high - low)
            case FloatDistribution(low=low, high=high, step=float(step)):
                return low + step * round(share * (high - low) / step)
        raise TypeError(f"Unknown distribution {param_distribution!r} of {param_name}.")


class _Lowest(_Independent):
    """Answers every suggestion with what was chosen for it, else with the lowest of its range."""

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self._chosen = chosen

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name in self._chosen:
            return _read(param_name, self._chosen[param_name], param_distribution)
        match param_distribution:
            case CategoricalDistribution(choices=choices):
                return choices[0]
            case IntDistribution(low=low):
                return low
            case FloatDistribution(low=low, high=high, log=True):
                return math.sqrt(low * high)
            case FloatDistribution(low=low, high=high, step=None):
                return (low + high) / 2
            case FloatDistribution(low=low, high=high, step=float(step)):
                return low + step * (round((high - low) / step) // 2)
        raise TypeError(f"Unknown distribution {param_distribution!r} of {param_name}.")


def _read(name: str, text: str, distribution: BaseDistribution) -> Any:
    """The value of `distribution` that `text` means."""
    if isinstance(distribution, CategoricalDistribution):
        values = {str(choice): choice for choice in distribution.choices}
        if text in values:
            return values[text]
        raise InvalidSetting(f"{name} cannot be {text!r}. Choices: {', '.join(values)}.")
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    try:
        value = int(text) if isinstance(distribution, IntDistribution) else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InvalidSetting(f"{name} cannot be {text!r}. It lies between {low} and {high}.")
    return value
