"""Two or more trials side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from nas.study.records import TrialRecord, plan_in_words
from nas.views import format
from nas.views.costs import costs_in_words
from nas.views.format import clean
from nas.views.terminal.table_style import new_table
from nas.views.terminal.trials import curves


def comparison_page(records: Sequence[TrialRecord]) -> Group:
    """Results, architectures, training settings and differing parameters in columns, rows that differ marked;
    and all learning curves in one chart."""
    table = new_table(Column("", no_wrap=True), Column("", overflow="fold"))
    for record in records:
        table.add_column(f"trial {record.number}", overflow="fold", justify="left")
    _add(table, "", [_results(record) for record in records])
    for name in ("architecture", "training"):
        _add(table, name, [(record.proposal or {}).get(name, {}) for record in records])
    _add(table, "parameters that differ", [record.params for record in records], equal=False)
    parts: list[RenderableType] = [table, Text("≠ differs", style="dim"), *curves(records)]
    return Group(*parts)


def _results(record: TrialRecord) -> dict[str, Any]:
    return {
        "outcome": record.outcome.in_words,
        "reason": record.reason,
        f"validation {record.metric_in_words}": format.accuracy(record.value),
        "epochs": len(record.epochs),
        **costs_in_words(record),
        "memory measured": format.memory(record.measured_peak),
        "epoch predicted": record.predicted_seconds and f"{record.predicted_seconds:.3g} s",
        "epoch measured": record.measured_seconds and f"{record.measured_seconds:.3g} s",
        "batches": plan_in_words(record.plan),
        "device": record.device,
        "time": format.duration(record.seconds),
    }


def _add(table: Table, title: str, columns: Sequence[Mapping[str, Any]], *, equal: bool = True) -> None:
    """A section of rows, one for each name in any of `columns`.

    Args:
        equal: show rows whose values are all equal, too.
    """
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = {name: [format.value(column.get(name)) for column in columns] for name in names}
    shown = {name: values for name, values in rows.items() if equal or len(set(values)) > 1}
    if shown and title:
        table.add_row()
        table.add_row("", Text(title, style="bold"))
    for name, values in shown.items():
        if set(values) == {format.MISSING}:
            continue
        differs = len(set(values)) > 1
        label = Text(clean(name.replace("_", " ")), style="dim")
        table.add_row("≠" if differs else "", label, *map(Text, values), style="yellow" if differs else "")
