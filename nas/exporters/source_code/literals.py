"""Values as Python source."""

from __future__ import annotations

from collections.abc import Sequence
from pprint import pformat

WIDTH = 100


def write_call(name: str, *values: object, **options: tuple[object, object]) -> str:
    """A call of `nn.<name>`; an option is its value and its default, and left out where these are equal.

    A tuple of one repeated number is written as that number: PyTorch takes both.
    """
    arguments = [repr(_short(value)) for value in values]
    for option, (value, default) in options.items():
        if _short(value) != _short(default):
            arguments.append(f"{option}={_short(value)!r}")
    return f"nn.{name}({', '.join(arguments)})"


def write_names(names: Sequence[str]) -> str:
    """A tuple of strings, over as many lines as it takes."""
    literal = pformat(tuple(names), width=WIDTH, compact=True)
    if "\n" not in literal:
        return literal
    body = literal[1:-1].replace("\n ", "\n    ")
    return f"(\n    {body},\n)"


def _short(value: object) -> object:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
