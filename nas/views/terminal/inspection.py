"""What a network costs: its layers, and the memory of its training part by part."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.views.format import clean, count, memory, shape
from nas.views.terminal.tables import new_table

if TYPE_CHECKING:
    from nas.memory.planned import DoesNotFit, MemoryPlan
    from nas.network.inspection import Inspection


def inspection_page(title: str, inspection: Inspection, batch_size: int) -> Group:
    """Layers with the memory of their outputs, totals, and training memory for a batch size."""
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
    parts.add_column(f"training memory, batches of {batch_size}", "total")
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
    return Group(*lines)


def versus_page(titles: tuple[str, str], costs: tuple[Inspection, Inspection]) -> Table:
    """Two networks side by side, with what the second saves; not below zero is no saving."""
    table = new_table()
    table.add_column("", no_wrap=True)
    for title in titles:
        table.add_column(Text(clean(title)), justify="right", no_wrap=True)
    table.add_column("saving", justify="right", no_wrap=True)
    rows = {
        "parameters": [cost.parameters for cost in costs],
        "multiply-adds an image": [cost.multiply_adds for cost in costs],
        "training memory, bytes": [cost.training_memory.total for cost in costs],
        "inference memory, bytes": [cost.inference_memory for cost in costs],
    }
    for name, (first, second) in rows.items():
        share = f" ({1 - second / first:.1%})" if first else ""
        saving = f"{first - second:,}{share}"
        table.add_row(name, f"{first:,}", f"{second:,}", saving)
    return table


def seconds_line(seconds: float, learned_from: int) -> Text:
    """What an epoch takes, and how that is known."""
    known = f"{learned_from} trials on this machine" if learned_from else "nothing trained on it yet"
    return Text(f"An epoch takes about {seconds:.2g} s here, as far as is known from {known}.")


def plan_line(plan: MemoryPlan | DoesNotFit) -> Text:
    """How the network trains under a cap, or what would have to change."""
    from nas.memory.planned import DoesNotFit

    if isinstance(plan, DoesNotFit):
        return Text(f"Does not fit: {plan}.", style="red")
    checkpoints = " with checkpointing" if plan.checkpointing else ""
    ways = f"in batches of {plan.micro_batch} x {plan.accumulation}{checkpoints}"
    return Text(f"Fits the memory cap {ways}: {memory(plan.reservation)}.", style="green")
