"""What a new study trains first: the user's own proposals, the best of another study, those of the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nas.errors import InvalidSetting, StudyError, UnknownName
from nas.machine.toml import read_toml
from nas.recipe import Recipe
from nas.space import DataInfo
from nas.space.load import Space, short_name
from nas.space.parameters import parameters
from nas.study.reader import StudyReader
from nas.study.records import ranking
from nas.study.retrying_storage import RetryingStorage

WARM = 5
"""So many of the best trials of another study are trained."""

Params = dict[str, Any]


def starts_of(space: Space, data: DataInfo, recipe: Recipe, storage: RetryingStorage) -> list[Params]:
    """The parameters of the first trials of a study, no more than it is to train.

    The sampler draws those that one leaves out.

    Raises:
        InvalidSetting: a file of starts is none, or a value in it is out of its range.
        UnknownName: the space has no parameter that a file names, or there is no study to start from.
        StudyError: that study is of another space, or has no result.
        BrokenFile: the search space's own code failed, or its first network cannot be trained.
    """
    found: list[Params] = []
    if recipe.start or recipe.warm_start is not None:
        known = {each.name: each.distribution for each in parameters(space, data)}
        found += [params for file in recipe.start for params in _read(file, known)]
        if recipe.warm_start is not None:
            found += _best_of(recipe.warm_start, space, known, storage, recipe.folder)
    own = space.starts(data)
    if not own:
        from nas.network.middle import cheap_in_the_middle  # torch comes with it

        own = cheap_in_the_middle(space, data)
    found += own
    if space.is_theirs:
        from nas.network.check import check_first

        check_first(space, own[0], data)
    new = [params for number, params in enumerate(found) if params not in found[:number]]
    return new[: recipe.trials]


def _read(file: Path, known: Mapping[str, BaseDistribution]) -> Iterator[Params]:
    """The proposals of a TOML file: one table each, or the whole file if it has no tables."""
    content = read_toml(file, "file of starts")
    tables: list[Any] = []
    for value in content.values():
        tables += value if isinstance(value, list) else [value]
    if not any(isinstance(each, dict) for each in tables):
        tables = [content] if content else []
    if not tables or not all(isinstance(each, dict) for each in tables):
        raise InvalidSetting(f"The file of starts {file} must hold a table of parameters for each proposal.")
    for table in tables:
        try:
            yield {name: _value(name, value, known) for name, value in table.items()}
        except (InvalidSetting, UnknownName) as error:
            raise InvalidSetting(f"{file}: {error}") from None


def _value(name: str, value: object, known: Mapping[str, BaseDistribution]) -> Any:
    """What the sampler is to take for `value`."""
    if name not in known:
        raise UnknownName("parameter", name, known)
    distribution = known[name]
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            if choice == value and isinstance(choice, bool) is isinstance(value, bool):
                return choice
        choices = ", ".join(str(choice) for choice in distribution.choices)
        raise InvalidSetting(f"{name} cannot be {value!r}. Choices: {choices}.")
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if isinstance(value, int | float) and not isinstance(value, bool) and distribution._contains(value):
        return distribution.to_external_repr(value)
    span = f"between {distribution.low} and {distribution.high}"
    raise InvalidSetting(f"{name} cannot be {value!r}. It lies {span}{_steps(distribution.step)}.")


def _steps(step: float | None) -> str:
    return f", in steps of {step:g}" if step not in (None, 1) else ""


def _best_of(
    name: str,
    space: Space,
    known: Mapping[str, BaseDistribution],
    storage: RetryingStorage,
    folder: Path,
) -> Iterator[Params]:
    """The best trials of a study, without what the space no longer asks for or no longer allows."""
    store = StudyReader.find(storage, name, folder)
    theirs = short_name(store.recipe.space)
    if theirs != space.name:
        raise StudyError(f"Study {name!r} searched {theirs}: it cannot warm-start a search of {space.name}.")
    best = ranking(store.trials())[:WARM]
    if not best:
        raise StudyError(f"Study {name!r} has no completed trial to start from.")
    for record in best:
        params = {}
        for parameter, value in record.params.items():
            with suppress(InvalidSetting, UnknownName):
                params[parameter] = _value(parameter, value, known)
        yield params
