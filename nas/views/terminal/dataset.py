"""A dataset: its shape, its splits, and the images of every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from nas.views.format import clean, shape
from nas.views.terminal.table_style import new_table

if TYPE_CHECKING:
    from nas.datasets import ImageData

SPLITS = ("train", "val", "test")


def data_page(data: ImageData) -> Group:
    """Shape, splits and classes with their counts, the imbalance, and what was done to the images."""
    table = new_table(show_footer=True)
    table.add_column("class", Text("total", style="bold"))  # the one that gives way to the others
    for split in SPLITS:
        table.add_column(split, Text(f"{data.counts[split]:,}", style="bold"), justify="right", no_wrap=True)
    for index, name in enumerate(data.classes):
        table.add_row(
            Text(clean(name), no_wrap=True, overflow="ellipsis"),
            *(f"{data.class_counts[split][index]:,}" for split in SPLITS),
        )
    kinds = ", ".join(data.info.augmentations) or "none"
    facts = f"{shape(data.info.shape)}, {data.info.num_classes} classes, augmentations: {kinds}"
    balance = f"The largest training class has {data.imbalance:.2f} times the images of the smallest."
    lines: list[RenderableType] = [
        Text.assemble((clean(data.info.name), "bold"), f"  {facts}"),
        "",
        table,
        "",
        Text(balance if data.imbalance > 1.005 else "All classes have as many training images."),
        *(Text(clean(f"{note}."), style="cyan") for note in data.notes),
    ]
    return Group(*lines)
