"""A study as a list of its trials, and one trial in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.metrics.base import ACCURACY, metric_short
from nas.study import spending
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of, counts_of, plan_in_words, ranking
from nas.views import format
from nas.views.format import clean
from nas.views.terminal.chart import Chart, Curve
from nas.views.terminal.command_lines import command, line
from nas.views.terminal.final import class_table, final_line
from nas.views.terminal.network import layers_of, training_in_words
from nas.views.terminal.table_style import new_table, numbers
from nas.views.trial_facts import memory_facts, origin_facts

if TYPE_CHECKING:
    from nas.views.shown import Study, Trial

LISTED = 40
"""Of more trials than these, the best and the latest are listed, half of each."""

EPOCHS = 24
"""Of a longer curve, about so many epochs are shown, the first, the best and the last among them."""

STEPS = 5
"""So many of the values that were the best once are told, with the time of each."""

CURVES = 4
"""So many of the best trials are drawn."""

NARROW, WIDE = 70, 100
"""Columns from which on a list of trials has room for their sizes, and for their time beside their memory."""

STYLES = {
    Outcome.COMPLETED: "",
    Outcome.PRUNED: "dim",
    Outcome.DOES_NOT_FIT: "dim",
    Outcome.DUPLICATE: "dim",
    Outcome.FAILED: "red",
    Outcome.INTERRUPTED: "yellow",
    Outcome.RUNNING: "cyan",
    Outcome.WAITING: "dim",
}


def study_page(study: Study, width: int, *, everything: bool = False) -> Group:
    """The trials of a study, the best one marked, and the learning curves of the best.

    Args:
        width: columns of the console.
        everything: list each trial, however many there are.
    """
    records = [trial.record for trial in study.trials]
    recipe, data = study.store.recipe, study.store.data["info"]
    trained = f"{format.plural(recipe.epochs, 'epoch')}, {recipe.precision}"
    head = Text.assemble(
        (clean(study.name), "bold"), clean(f"  {format.space(recipe.space)} on {data['name']}, {trained}")
    )
    final = study.final_of(records)
    listed = records if everything else listed_trials(records)
    parts: list[RenderableType] = [head, "", _trials(listed, best_of(records), width)]
    if len(listed) < len(records):
        parts.append(Text(f"The best and the latest of {len(records):,} trials."))
        parts.append(line("all of them", command(study, "show", study.name, "--all"), "cyan"))
    parts += curves(ranking(records)[:CURVES])
    if (spent := _spent(records)).row_count:
        parts += ["", spent]
    if final is not None:
        parts += ["", final_line(final)]
    return Group(*parts, "", Text(format.counts(counts_of(records)), style="dim"))


def _spent(records: Sequence[TrialRecord]) -> Table:
    """The best value so far after some times, and what each part of the search cost."""
    steps = spending.best_so_far(records)
    if len(steps) > STEPS:  # the first, the last, and some between
        steps = [steps[round(place * (len(steps) - 1) / (STEPS - 1))] for place in range(STEPS)]
    way = (f"{format.accuracy(step.value)} after {format.duration(step.seconds)}" for step in steps)
    costs = (
        f"{each.name} {format.duration(each.seconds)} ({each.share:.0%})" for each in spending.parts(records)
    )
    lacking = spending.untimed(records)
    facts = {
        "best so far": ", ".join(way),
        "time spent": ", ".join(costs),
        "no times": f"of {format.plural(lacking, 'trial')}" if lacking else "",
    }
    rows = Table.grid(padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        if fact:
            rows.add_row(Text(name, style="dim"), Text(fact))
    return rows


def listed_trials(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """All, or the best and the latest of many, in the order of their numbers."""
    if len(records) <= LISTED:
        return list(records)
    half = LISTED // 2
    ranked = sorted(records[:-half], key=lambda record: (-(record.value or 0.0), record.number))
    return [*sorted(ranked[:half], key=lambda record: record.number), *records[-half:]]


def curves(records: Sequence[TrialRecord]) -> list[RenderableType]:
    """The learning curves of trials in one chart, without those that have no two epochs."""
    lines = [
        Curve(f"trial {record.number}", [epoch.value for epoch in record.epochs])
        for record in records
        if len(record.epochs) > 1
    ]
    return ["", Text(f"Validation {records[0].metric_in_words}"), Chart(lines)] if lines else []


def _trials(records: Sequence[TrialRecord], best: TrialRecord | None, width: int) -> Table:
    sizes = any(record.measured_peak or record.predicted_peak for record in records)
    score = f"val {metric_short(records[0].metric if records else ACCURACY)}"
    headings = ["trial", "outcome", score]
    headings += ["epochs", "params"] if width >= NARROW else []
    headings += ["memory"] if sizes else []
    headings += ["predicted"] if sizes and width >= WIDE else []
    headings += ["time"] if not sizes or width >= WIDE else []
    table = new_table(expand=True)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "outcome" else "right", no_wrap=True)
    table.add_column("network, or reason", no_wrap=True, overflow="ellipsis", ratio=1)
    for record in records:
        is_best = best is not None and record.number == best.number
        architecture = record.proposal["architecture"] if record.proposal else {}
        cells = {
            "trial": f"* {record.number}" if is_best else str(record.number),
            "outcome": record.outcome.in_words,
            score: format.accuracy(record.value),
            "epochs": str(len(record.epochs)),
            "params": format.count(record.num_parameters),
            "memory": format.memory(record.measured_peak),
            "predicted": format.memory(record.predicted_peak),
            "time": format.duration(record.seconds),
        }
        table.add_row(
            *(cells[heading] for heading in headings),
            Text(clean(record.reason) if record.reason else format.in_words(architecture)),
            style="bold green" if is_best else STYLES[record.outcome],
        )
    return table


def trial_page(trial: Trial, layers: Callable[[Trial], RenderableType] = layers_of) -> Group:
    """One trial: how it ended, its network, its training, its curve and its parameters.

    Args:
        layers: what shows its network.
    """
    record = trial.record
    parts: list[RenderableType] = [_headline(record), "", *_facts(trial), "", layers(trial)]
    if record.proposal:
        parts += ["", Text(f"Training: {training_in_words(record.proposal['training'])}")]
    if record.epochs:
        parts += [*curves([record]), "", _epochs(record)]
    if recalls := trial.recalls:
        parts += ["", Text("Validation images by class"), class_table(recalls)]
    return Group(*parts, "", Text("Parameters of the search"), _parameters(record.params))


def _headline(record: TrialRecord) -> Text:
    outcome = record.outcome.in_words
    head = Text.assemble((f"Trial {record.number}", "bold"), " ", (outcome, STYLES[record.outcome]))
    if record.value is not None:
        head.append(f", validation {record.metric_in_words} ").append(
            format.accuracy(record.value), "bold green"
        )
    if record.reason:
        head.append(f"\n{clean(record.reason)}")
    return head


def _facts(trial: Trial) -> list[Text]:
    record = trial.record
    parameters, multiply_adds = format.count(record.num_parameters), format.count(record.multiply_adds)
    facts = {
        "size": record.num_parameters and f"{parameters} parameters, {multiply_adds} multiply-adds",
        "batches": plan_in_words(record.plan),
        **dict(memory_facts(record)),
        **dict(origin_facts(record)),
        "versions": record.versions
        and ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "weights": trial.weights and format.place(trial.weights),
    }
    told = {name: fact for name, fact in facts.items() if fact is not None}
    return [line(name, str(fact), width=max(map(len, told)) + 2) for name, fact in told.items()]


def _epochs(record: TrialRecord) -> Table:
    epochs = record.epochs
    best = max(epochs, key=lambda epoch: epoch.value)
    step = -(-len(epochs) // EPOCHS)
    shown = [epoch for epoch in epochs if epoch in (epochs[0], best, epochs[-1]) or epoch.number % step == 0]
    headings = (
        "epoch",
        "train loss",
        "val loss",
        f"val {metric_short(record.metric)}",
        "rate",
        "images/s",
        "memory",
        "time",
    )
    table = new_table(*map(numbers, headings))
    for epoch in shown:
        table.add_row(
            str(epoch.number),
            format.real(epoch.train_loss),
            format.real(epoch.val_loss),
            format.accuracy(epoch.value),
            format.real(epoch.learning_rate),
            format.count(epoch.images_per_second),
            format.memory(epoch.peak_reserved or epoch.peak_allocated),
            f"{epoch.seconds:.1f} s",
            style="bold" if epoch is best else "",
        )
    return table


def _parameters(params: Mapping[str, Any]) -> Columns:
    cells = [Text.assemble((clean(name), "dim"), f" {format.value(value)}") for name, value in params.items()]
    return Columns(cells, padding=(0, 3), column_first=True)
