"""Tables of cases that are products of settings."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def one_at_a_time(**settings: Iterable[object]) -> pytest.MarkDecorator:
    """Parametrizes with every combination; slow are those of which two settings or more are not their first.

    What breaks with one value of one setting is found without the others; a mapping gives values their ids.
    """
    axes = [
        list(each.items()) if isinstance(each, dict) else [(str(v), v) for v in each]
        for each in settings.values()
    ]
    cases: list[Any] = []
    for chosen in product(*axes):
        others = sum(value is not axis[0] for value, axis in zip(chosen, axes, strict=True))
        names, values = zip(*chosen, strict=True)
        marks = [pytest.mark.slow] if others > 1 else []
        cases.append(pytest.param(*values, id="-".join(names), marks=marks))
    return pytest.mark.parametrize(tuple(settings), cases)
