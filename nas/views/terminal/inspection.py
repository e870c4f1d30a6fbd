"""What networks cost: layers, the memory of training part by part, and how they train under a memory cap."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from nas.views.format import clean, count, memory, shape
from nas.views.terminal.tables import new_table

if TYPE_CHECKING:
    from nas.memory.planned import DoesNotFit, MemoryPlan
    from nas.network.cost import Cost


def inspection_page(title: str, cost: Cost) -> Group:
    """Layers with the memory of their outputs, totals, and training memory; under a cap if one was given."""
    inspection = cost.inspection
    layers = new_table(show_footer=True)
    layers.add_column("layer", "total", no_wrap=True, overflow="ellipsis")
    layers.add_column("kind", no_wrap=True)
    layers.add_column("output shape", no_wrap=True)
    layers.add_column("parameters", f"{inspection.parameters:,}", justify="right")
    layers.add_column("multiply-adds", f"{inspection.multiply_adds:,}", justify="right")
    layers.add_column("bytes/image", justify="right")
    for layer in inspection.layers:
        numbers = (layer.parameters, layer.multiply_adds, layer.output_bytes)
        layers.add_row(
            Text(clean(layer.name)),
            Text(clean(layer.kind)),
            shape(layer.output_shape) if prod(layer.output_shape) else "",
            *(f"{number:,}" if number else "" for number in numbers),
        )
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
    ]
    if cost.plan is not None:
        lines.append(_plan(cost.plan))
    return Group(*lines)


def versus_page(titles: tuple[str, str], costs: tuple[Cost, Cost]) -> Group:
    """Two networks side by side, with what the second saves, and how they train under a cap if one was given.

    Not below zero is no saving.
    """
    inspections = [cost.inspection for cost in costs]
    table = new_table()
    table.add_column("", no_wrap=True)
    for title in titles:
        table.add_column(Text(clean(title)), justify="right", no_wrap=True)
    table.add_column("saving", justify="right", no_wrap=True)
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


def _plan(plan: MemoryPlan | DoesNotFit) -> Text:
    """How the network trains under a cap, or what would have to change."""
    from nas.memory.planned import DoesNotFit

    if isinstance(plan, DoesNotFit):
        return Text(f"Does not fit: {plan}.", style="red")
    checkpoints = " with checkpointing" if plan.checkpointing else ""
    ways = f"in batches of {plan.micro_batch} x {plan.accumulation}{checkpoints}"
    return Text(f"Fits the memory cap {ways}: {memory(plan.reservation)}.", style="green")
