"""What an export wrote, and how fast its files run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from nas.machine.texts import milliseconds
from nas.metrics.base import metric_title
from nas.views.format import accuracy, clean, count, plural
from nas.views.terminal.table_style import new_table, numbers

if TYPE_CHECKING:
    from nas.exporters import Export
    from nas.views.shown import Trial


def export_page(trial: Trial, export: Export) -> Group:
    """What each format was found to do, what is missing, and how to run the files."""
    from nas.exporters.card import slower_int8
    from nas.exporters.verify.verification import TIMED

    headings = (
        "bytes",
        "same class",
        "logits differ",
        metric_title(export.reference.metric),
        *(f"ms for {size}" for size in TIMED),
    )
    table = new_table(Column("format", no_wrap=True), *map(numbers, headings))
    for name, found in export.formats.items():
        table.add_row(
            Text(clean(name)),
            f"{found.size:,}",
            f"{100 * found.agreement:.2f} %",
            f"{found.largest_difference:.0e}",
            accuracy(found.value),
            *(milliseconds(found.latency[size]) for size in TIMED),
        )
    size = count(trial.record.num_parameters)
    lines: list[RenderableType] = [
        Text(f"{trial.headline}, {size} parameters"),
        Text(clean(str(export.folder)), style="bold"),
        "",
        table,
        "",
        Text(_verified(export), style="green"),
    ]
    if slower := slower_int8(export.formats):
        lines.append(Text(slower, style="yellow"))
    lines += left_out_lines(export.left_out)
    folder = clean(str(export.folder))
    lines += ["", Text(f"classify  nas predict {folder} image.png")]
    if "model.py" in export.files:
        lines.append(Text(f"or        python {folder}/model.py image.png"))
    return Group(*lines)


def bench_page(
    measured: Mapping[str, Mapping[int, float]], left_out: Mapping[str, str], threads: int, processor: str
) -> Group:
    """Latency and throughput of each format at each batch size."""
    headings = ("batch", "ms", "images per second")
    table = new_table(Column("format", no_wrap=True), *map(numbers, headings))
    for name, latency in measured.items():
        for size, seconds in latency.items():
            table.add_row(Text(clean(name)), str(size), milliseconds(seconds), f"{size / seconds:,.0f}")
    said = Text(f"medians; {plural(threads, 'thread')} of {clean(processor)}; images prepared beforehand")
    return Group(table, "", said, *left_out_lines(left_out))


def left_out_lines(left_out: Mapping[str, str]) -> list[Text]:
    """A line for every reason why formats are missing."""
    formats: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        formats.setdefault(reason, []).append(name)
    return [
        Text(clean(f"without {' and '.join(names)}: {reason}"), style="yellow")
        for reason, names in formats.items()
    ]


def _verified(export: Export) -> str:
    """On what the formats were verified."""
    wanted = export.reference
    if wanted.value is None:
        images = f"{wanted.images:,} random images: the study's own are gone, or have changed"
    else:
        images = f"{plural(wanted.images, 'validation image')} (in PyTorch: {wanted.value:.4f})"
    threads = plural(wanted.threads, "thread")
    return f"read back in fresh processes on {images}; {threads} of {clean(wanted.processor)}"
