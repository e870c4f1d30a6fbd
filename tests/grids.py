"""Tables of cases that are products of settings."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest

slow = pytest.mark.slow


def each_once(**settings: Iterable[object]) -> pytest.MarkDecorator:
    """Parametrizes with every combination; slow are all but so many that every value is among the others.

    What breaks with one value of one setting is found by them; a mapping gives values their ids.
    """
    axes = [
        list(each.items()) if isinstance(each, dict) else [(str(v), v) for v in each]
        for each in settings.values()
    ]
    diagonal = {tuple(i % len(axis) for axis in axes) for i in range(max(map(len, axes)))}
    cases: list[Any] = []
    for places in product(*(range(len(axis)) for axis in axes)):
        names, values = zip(*(axis[place] for axis, place in zip(axes, places, strict=True)), strict=True)
        marks = [] if places in diagonal else [slow]
        cases.append(pytest.param(*values, id="-".join(names), marks=marks))
    return pytest.mark.parametrize(tuple(settings), cases)


def first_of(number: int, cases: Iterable[object]) -> list[Any]:
    """The same cases for `pytest.mark.parametrize`; slow are all but the first `number`."""
    return [
        case if place < number else pytest.param(*(case if isinstance(case, tuple) else [case]), marks=slow)
        for place, case in enumerate(cases)
    ]
