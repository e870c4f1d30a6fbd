"""What optuna-dashboard shows as the notes of a study and of its trials, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nas.errors import NasError
from nas.machine.texts import markdown_table
from nas.network.layers import LayerTable
from nas.study.records import TrialRecord, best_of, counts_of
from nas.views import format
from nas.views.dashboard.watched import WatchedStudy
from nas.views.trial_facts import ending, memory_facts, origin_facts, training_facts


def study_note(watched: WatchedStudy, root: str = "") -> str:
    """What is searched, on which data, and what has come of it.

    Args:
        root: path below which the dashboard lies.
    """
    records, recipe, row = watched.records(), watched.recipe, watched.row
    info, best, page = row["data"].get("info", {}), best_of(records), f"{root}/nas/{watched.study_id}"
    facts = [
        ("search space", f"{format.space(recipe.space)}, version {row['space_version']}"),
        ("data", f"{info.get('name', recipe.data)}, {format.shape(info.get('shape', ()))}"),
        ("trials", format.counts(counts_of(records))),
        ("trained", f"{format.plural(recipe.epochs, 'epoch')}, {recipe.precision}, seed {recipe.seed}"),
        ("memory cap", format.memory(row.get("memory_cap")) if row.get("memory_cap") else "none"),
    ]
    parts = [f"[**Running trials, memory, outcomes: the live page**]({page})", _table(("", ""), facts)]
    if best is not None:
        sentence = (
            f"Best: trial {best.number}, validation {best.metric_in_words} {format.accuracy(best.value)}"
        )
        size = f"{format.count(best.num_parameters)} parameters"
        parts += [f"**{sentence}**, {size}.", _drawing(page, best)]
    return "\n\n".join(parts)


def trial_note(
    watched: WatchedStudy, record: TrialRecord, *, with_layers: bool = True, root: str = ""
) -> str:
    """How a trial ended, its network layer by layer, its training and its memory.

    Args:
        with_layers: else it only says where they are shown.
        root: path below which the dashboard lies.
    """
    study = f"{root}/nas/{watched.study_id}"
    page = f"{study}/trials/{record.number}"
    parts = [f"**{escape(ending(record))}** [Its page]({page})"]
    if record.proposal is not None:
        parts.append("### Network")
        if not with_layers:
            parts.append(f"[Its layers]({page})")
        else:
            try:
                parts += [_drawing(study, record), layer_rows(watched.layers(record))]
            except NasError as error:
                parts.append(escape(str(error)))
    for title, facts in (
        ("Training", training_facts(record)),
        ("Memory", memory_facts(record)),
        ("Origin", origin_facts(record)),
    ):
        if facts:
            parts += [f"### {title}", _table(("", ""), facts)]
    return "\n\n".join(parts)


def layer_rows(table: LayerTable) -> str:
    """A network as a table, with its totals."""
    total = ("total", "", "", f"{table.parameters:,}", f"{table.multiply_adds:,}")
    heads = ("layer", "kind", "output", "parameters", "multiply-adds")
    return _table(heads, [*format.layer_cells(table.layers), total], numbers=3)


def escape(text: str) -> str:
    """`text` as one line of Markdown that shows it as it stands, and links to nothing."""
    return re.sub(r"([\\`*_\[\]()<>#!|~&@]|:(?=//)|(?<=www)\.)", r"\\\1", format.clean(text))


def _drawing(study: str, record: TrialRecord) -> str:
    return f"![The network of trial {record.number}]({study}/trials/{record.number}/network.svg)"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    return markdown_table(heads, ([escape(cell) for cell in row] for row in rows), numbers)
