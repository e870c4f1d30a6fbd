"""A network and its training, as a table and in words. Torch is imported where a network is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from nas.errors import NasError
from nas.views.format import clean, layer_cells, real
from nas.views.terminal.table_style import new_table, numbers

if TYPE_CHECKING:
    from nas.network.layers import LayerTable
    from nas.views.shown import Trial


def layers_of(trial: Trial) -> RenderableType:
    """The layers of a trial's network, or why they cannot be shown."""
    try:
        return layer_rows(trial.layers())
    except NasError as error:
        return Text(clean(str(error)), style="yellow")


def layer_rows(table: LayerTable) -> Table:
    """A network layer by layer, with its totals."""
    rows = new_table(
        Column("layer", "total", overflow="ellipsis"),  # these two give way when a row is too long
        Column("kind", overflow="ellipsis"),
        numbers("output shape"),
        numbers("parameters", f"{table.parameters:,}"),
        numbers("multiply-adds", f"{table.multiply_adds:,}"),
        show_footer=True,
    )
    for cells in layer_cells(table.layers):
        rows.add_row(*map(Text, cells))
    return rows


def training_in_words(training: Mapping[str, Any]) -> str:
    """Stored training settings in one sentence, without those that have no effect."""
    optimizer, schedule = training["optimizer"], training["schedule"]
    facts = [f"{optimizer}, learning rate {real(training['learning_rate'])} {schedule}"]
    if training["warmup"]:
        facts[0] += f" after a warm-up over {training['warmup']:.0%} of all steps"
    facts.append(f"batch size {training['batch_size']}")
    if optimizer == "sgd":
        facts.append(f"momentum {real(training['momentum'])}")
    for name in ("weight_decay", "label_smoothing"):
        if training[name]:
            facts.append(f"{name.replace('_', ' ')} {real(training[name])}")
    if weights := training.get("class_weights"):
        some = {"": weights} if isinstance(weights, str) else weights
        named = ", ".join(f"{name} {value}".strip() for name, value in some.items())
        facts.append(f"class weights {named}")
    augmentation = ", ".join(training["augmentation"]) or "none"
    return clean(f"{', '.join(facts)}, augmentation: {augmentation}")
