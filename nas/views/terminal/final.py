"""The final model: how it does on test images, against what, and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.metrics.base import metric_short, metric_title
from nas.study.records import Recall
from nas.views.format import MISSING, accuracy, clean, count, place, plural
from nas.views.terminal.command_lines import command, line
from nas.views.terminal.table_style import new_table, numbers

if TYPE_CHECKING:
    from nas.views.shown import Final, Study

CLASSES = 20
"""Of more classes, those that are told from the others worst are listed."""

MIX_UPS = 5


def final_page(study: Study, final: Final) -> Group:
    """Everything that the final training came to."""
    result, classes, metric = final.result, study.store.data["classes"], metric_title(final.result["metric"])
    parts: list[RenderableType] = [_headline(final), ""]
    parts += [Text(f"Retrained, validation {metric}"), _retrained(result["retrained"], final.number), ""]
    if result["gains"]:
        parts += [
            Text("Gain on the test images, with 95 % intervals"),
            _gains(result["gains"], final.number, metric_short(result["metric"])),
            "",
        ]
    rows = zip(classes, map(sum, result["confusion"]), result["class_accuracies"], strict=True)
    recalls = [Recall(*row) for row in rows]
    parts += [Text("Test images by class"), class_table(recalls)]
    if mix_ups := _mix_ups(result["confusion"], classes):
        parts.append(Text(clean(f"Most often mixed up: {', '.join(mix_ups)}"), style="dim"))
    export = line("take it", command(study, "export", study.name), "cyan")
    return Group(*parts, "", *_facts(final), export)


def final_line(final: Final) -> Text:
    """The final model in one line."""
    return Text.assemble(
        f"Final model: trial {final.number}, test {metric_title(final.result['metric'])} ",
        (accuracy(final.test_value), "bold green"),
        f" ({_interval(final.interval)}), {opened_in_words(final.openings)}",
    )


def opened_in_words(times: int) -> str:
    """How often the test images were opened."""
    return f"test images were opened {'once' if times == 1 else f'{times} times'}"


def _headline(final: Final) -> Text:
    result, epochs = final.result, plural(final.result["epochs"], "epoch")
    head = Text.assemble(
        f"Final model: trial {final.number}, test {metric_title(final.result['metric'])} ",
        (accuracy(final.test_value), "bold green"),
        f", 95 % interval {_interval(final.interval)}",
    )
    if result["mirrored_value"] is not None:
        both = f"{accuracy(result['mirrored_value'])}, {_interval(result['mirrored_interval'])}"
        head.append(f"\nWith mirror images averaged: {both}")
    tested = f"Trained on training and validation images for {epochs}, tested on {result['images']:,} images."
    head.append(f"\n{tested}", "dim")
    opened = f"The {opened_in_words(final.openings)}."
    head.append(f"\n{opened}", "dim" if final.openings == 1 else "yellow")
    return head


def _retrained(rows: Sequence[Mapping[str, Any]], winner: int) -> Table:
    headings = ("mean", "± seeds", "lowest", "highest", "seeds", "parameters")
    table = new_table("network", *map(numbers, headings))
    for row in rows:
        values, won = row["values"], row["trial"] == winner
        name = row["rival"] if row["trial"] is None else row["name"]
        seeds = f"{len(values)}"
        if row["failures"]:
            seeds += f" of {len(values) + len(row['failures'])}"
        table.add_row(
            Text(clean(f"* {name}" if won else name)),
            accuracy(row["mean"]),
            accuracy(row["deviation"]),
            accuracy(min(values, default=None)),
            accuracy(max(values, default=None)),
            seeds,
            count(row["num_parameters"]),
            style="bold green" if won else "",
        )
    return table


def _gains(rows: Sequence[Mapping[str, Any]], winner: int, metric: str) -> Table:
    table = new_table("above", *map(numbers, (f"its test {metric}", "gain", "95 % interval")))
    for row in rows:
        low, high = row["interval"]
        name = row["name"] if row["trial"] is None else f"{row['name']} (trial {row['trial']})"
        gain = Text(f"{row['gain']:+.4f}", style="bold")
        cells = ("", "the same network") if row["trial"] == winner else (gain, f"{low:+.4f} to {high:+.4f}")
        table.add_row(Text(clean(name)), accuracy(row["test_value"]), *cells)
    return table


def class_table(recalls: Sequence[Recall]) -> Table:
    """How the images of each class were classified."""
    table = new_table("class", *map(numbers, ("images", "recall")))
    shown = list(recalls)
    if len(shown) > CLASSES:
        shown = sorted(shown, key=lambda each: 1.0 if each.recall is None else each.recall)[:CLASSES]
        table.caption = f"the worst {CLASSES} of {len(recalls):,} classes"
    for each in shown:
        table.add_row(Text(clean(each.name)), f"{each.images:,}", accuracy(each.recall))
    return table


def _mix_ups(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    """The largest numbers beside the diagonal of the confusion matrix."""
    pairs = [
        (images, true, taken)
        for true, row in enumerate(confusion)
        for taken, images in enumerate(row)
        if true != taken and images
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return [f"{classes[true]} as {classes[taken]} ({images})" for images, true, taken in pairs[:MIX_UPS]]


def _facts(final: Final) -> Iterator[Text]:
    result = final.result
    used = {
        "weights": place(final.weights) or MISSING,
        "averaged": result["ema"] and f"weights, with a decay of {result['ema']}",
        "compiled": "with torch.compile" if result["compiled"] else None,
        "changed": "; ".join(result["notes"]),
    }
    for name, fact in used.items():
        if fact:
            yield line(name, str(fact))


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"
