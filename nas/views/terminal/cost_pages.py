"""What networks cost: layers, the memory of training part by part, and how they train under a memory cap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from nas.views.format import clean, count, layer_cells, memory
from nas.views.terminal.table_style import new_table, numbers

if TYPE_CHECKING:
    from nas.memory.planned import DoesNotFit, MemoryPlan
    from nas.network.cost import Cost


def inspection_page(title: str, cost: Cost) -> Group:
    """Layers with the memory of their outputs, totals, and training memory; under a cap if one was given."""
    inspection = cost.inspection
    layers = new_table(
        Column("layer", "total", no_wrap=True, overflow="ellipsis"),
        Column("kind", no_wrap=True),
        Column("output shape", no_wrap=True),
        Column("parameters", f"{inspection.parameters:,}", justify="right"),
        Column("multiply-adds", f"{inspection.multiply_adds:,}", justify="right"),
        Column("bytes/image", justify="right"),
        show_footer=True,
    )
    for layer, cells in zip(inspection.layers, layer_cells(inspection.layers), strict=True):
        layers.add_row(*map(Text, cells), f"{layer.output_bytes:,}" if layer.output_bytes else "")
    parts = new_table(show_footer=True)
    parts.add_column(f"training memory, batches of {cost.batch_size}", "total")
    parts.add_column("bytes", f"{inspection.training_memory.total:,}", justify="right")
    parts.add_column("", memory(inspection.training_memory.total), justify="right")
    for name, size in inspection.training_memory.parts.items():
        if size:
            parts.add_row(name.replace("_", " "), f"{size:,}", memory(size))
    inference = (
        f"Inference on as many images: {memory(inspection.inference_memory)} in two consecutive layers."
    )
    sums = (
        f"{count(inspection.parameters)} parameters, {count(inspection.multiply_adds)} multiply-adds an image"
    )
    lines: list[RenderableType] = [
        Text(clean(title), style="bold"),
        sums,
        "",
        layers,
        "",
        parts,
        "",
        inference,
        _seconds(cost),
    ]
    if cost.plan is not None:
        lines.append(_plan(cost.plan))
    return Group(*lines)


def versus_page(titles: tuple[str, str], costs: tuple[Cost, Cost]) -> Group:
    """Two networks side by side, with what the second saves, and how they train under a cap if one was given.

    Not below zero is no saving.
    """
    inspections = [cost.inspection for cost in costs]
    headings: list[RenderableType] = [*(Text(clean(title)) for title in titles), "saving"]
    table = new_table(Column("", no_wrap=True), *map(numbers, headings))
    rows = {
        "parameters": [each.parameters for each in inspections],
        "multiply-adds an image": [each.multiply_adds for each in inspections],
        "training memory, bytes": [each.training_memory.total for each in inspections],
        "inference memory, bytes": [each.inference_memory for each in inspections],
    }
    for name, (first, second) in rows.items():
        share = f" ({1 - second / first:.1%})" if first else ""
        saving = f"{first - second:,}{share}"
        table.add_row(name, f"{first:,}", f"{second:,}", saving)
    plans = [
        Text.assemble(f"{clean(title)}: ", _plan(cost.plan))
        for title, cost in zip(titles, costs, strict=True)
        if cost.plan is not None
    ]
    return Group(table, *plans)


def _seconds(cost: Cost) -> str:
    """What an epoch takes, and how that is known."""
    if cost.epoch_seconds is None:
        return "What an epoch takes on a card, a search on it measures."
    learned = (
        f"learned from {cost.learned_from} trials" if cost.learned_from else "nothing was trained here yet"
    )
    return f"An epoch takes about {cost.epoch_seconds:.2g} s on this machine ({learned})."


def _plan(plan: MemoryPlan | DoesNotFit) -> Text:
    """How the network trains under a cap, or what would have to change."""
    from nas.memory.planned import DoesNotFit

    if isinstance(plan, DoesNotFit):
        return Text(f"Does not fit: {plan}.", style="red")
    checkpoints = " with checkpointing" if plan.checkpointing else ""
    ways = f"in batches of {plan.micro_batch} x {plan.accumulation}{checkpoints}"
    return Text(f"Fits the memory cap {ways}: {memory(plan.reservation)}.", style="green")
