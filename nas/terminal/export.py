"""What an export wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from nas.terminal.format import accuracy, clean, count
from nas.terminal.tables import new_table

if TYPE_CHECKING:
    from nas.api import Trial
    from nas.exporters import Export


def export_page(trial: Trial, export: Export) -> Group:
    """The files with their sizes, the agreement of each format, and the command to run it."""
    files = new_table()
    files.add_column("file", no_wrap=True)
    files.add_column("bytes", justify="right")
    for name in export.files:
        files.add_row(clean(name), f"{(export.folder / name).stat().st_size:,}")
    value = accuracy(trial.record.epochs[-1].val_accuracy)
    size = count(trial.record.num_parameters)
    lines: list[RenderableType] = [
        Text(f"Trial {trial.number}, validation accuracy {value}, {size} parameters"),
        Text(clean(str(export.folder)), style="bold"),
        "",
        files,
        "",
    ]
    for name, difference in export.differences.items():
        lines.append(
            Text(
                f"{name}: read back in a fresh process, logits differ by at most {difference:.1e}",
                style="green",
            )
        )
    if "model.py" in export.files:
        lines += ["", Text(f"run it  python {clean(str(export.folder / 'model.py'))} image.png")]
    return Group(*lines)
