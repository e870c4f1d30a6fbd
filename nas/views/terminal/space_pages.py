"""The search spaces, and the parameters of one with their ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from nas.views.format import clean, count, in_words, real
from nas.views.terminal.table_style import new_table, numbers

if TYPE_CHECKING:
    from nas.space import Proposal
    from nas.space.load import Space
    from nas.space.parameters import Parameter


def spaces_table(summaries: Mapping[str, str]) -> Table:
    """What each search space is, by its name."""
    table = new_table(Column("search space", overflow="ellipsis", style="bold"), "what it searches")
    for name, summary in summaries.items():
        table.add_row(Text(clean(name)), Text(clean(summary)))
    return table


def parameters_page(
    space: Space, parameters: Iterable[Parameter], starts: Iterable[tuple[Proposal, float | None]] = ()
) -> Group:
    """What a search space asks, in its own order.

    Args:
        starts: what a study trains first, with multiply-adds for one image.
    """
    table = new_table(
        Column("parameter", overflow="ellipsis"),
        Column("kind", no_wrap=True),
        "range",
        Column("asked", no_wrap=True),
    )
    for parameter in parameters:
        kind, values = _range(parameter.name, parameter.distribution)
        asked = Text(f"in {parameter.share:.0%}" if parameter.conditional else "always", style="dim")
        table.add_row(Text(clean(parameter.name)), Text(kind, style="dim"), Text(clean(values)), asked)
    page: list[RenderableType] = [Text(clean(f"{space.name}: {space.summary}")), "", table]
    if rows := list(starts):
        page += ["", Text("A new study trains these first:"), "", _starts_table(rows)]
    return Group(*page)


def _starts_table(starts: Iterable[tuple[Proposal, float | None]]) -> Table:
    table = new_table(numbers("multiply-adds"), "network", "training")
    for proposal, multiply_adds in starts:
        words = [in_words(part) for part in proposal.description.values()]
        table.add_row(count(multiply_adds), *(Text(clean(each)) for each in words))
    return table


def _range(name: str, distribution: BaseDistribution) -> tuple[str, str]:
    """Kind and values; exponents of two with the numbers they mean."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "choice", ", ".join(str(choice) for choice in choices)
        case IntDistribution(low=low, high=high) if name.startswith("log2_"):
            return "int", f"2^{low} … 2^{high} = {2**low} … {2**high}"
        case IntDistribution(low=low, high=high, step=step, log=log):
            return "int", f"{low} … {high}{_spacing(step if step != 1 else None, log)}"
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return "float", f"{real(low)} … {real(high)}{_spacing(step, log)}"
    raise TypeError(f"Unknown distribution {distribution!r} of {name}.")


def _spacing(step: float | None, log: bool) -> str:
    if log:
        return ", logarithmic"
    return f", step {real(step)}" if step is not None else ""
