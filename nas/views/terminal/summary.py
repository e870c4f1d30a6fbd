"""What closes a search: the best network, how good it is, where everything lies, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.study.database import redacted, storage_url
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of, counts_of
from nas.views.format import MISSING, accuracy, clean, count, counts, memory, place, plural
from nas.views.terminal.command_lines import command, line, where
from nas.views.terminal.final import final_line
from nas.views.terminal.network import layers_of, training_in_words

if TYPE_CHECKING:
    from nas.views.shown import Final, Study, Trial


def summary_page(
    study: Study, trials: Sequence[Trial], layers: Callable[[Trial], RenderableType] = layers_of
) -> Group:
    """The end of a search on a page.

    Args:
        trials: those of `study`, read once, so that all that is told is of one moment.
        layers: what shows the network of the best of them.
    """
    records, best = [trial.record for trial in trials], _best(trials)
    parts: list[RenderableType] = [""]
    if best is None:
        parts.append(Text("No trial was completed, so there is no best network.", style="yellow"))
    else:
        parts += [_headline(study, best), "", layers(best), "", _training(study, best)]
        parts += _gains(study, best, records)
    if final := study.final_of(records):
        parts += ["", final_line(final)]
    return Group(*parts, "", *_facts(study, best, records), "", *_next_steps(study, best, records, final))


def one_line(study: Study, trials: Sequence[Trial]) -> str:
    """The end of a search for --quiet."""
    best = _best(trials)
    result = (
        "no trial was completed"
        if best is None
        else f"best validation {study.store.metric} {accuracy(best.value)}"
    )
    where = f", trial {best.number}, weights in {place(best.weights)}" if best and best.weights else ""
    return clean(f"{study.name}: {result}{where}; trials: {_outcomes([trial.record for trial in trials])}")


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The one of highest value; None if none was completed."""
    best = best_of([trial.record for trial in trials])
    return next((trial for trial in trials if trial.record is best), None)


def _outcomes(records: Sequence[TrialRecord]) -> str:
    return counts(counts_of(records))


def _headline(study: Study, best: Trial) -> Text:
    images = plural(study.store.data["info"]["num_val"], "validation image")
    return Text.assemble(
        f"Best network: trial {best.number}, validation {study.store.metric} ",
        (accuracy(best.value), "bold green"),
        (
            f"\nMeasured on {images}, by which it was also chosen: expect a little less on new ones."
            " No test image was used.",
            "dim",
        ),
    )


def _training(study: Study, best: Trial) -> Text:
    assert best.record.proposal is not None
    words, recipe = training_in_words(best.record.proposal["training"]), study.store.recipe
    return Text(f"Training: {words}, {plural(recipe.epochs, 'epoch')}, {recipe.precision}")


def _gains(study: Study, best: Trial, records: Sequence[TrialRecord]) -> list[RenderableType]:
    """How far the best lies above each baseline and above the random start, with their sizes and budgets."""
    baselines = list(study.compared(records))
    if not baselines:
        return []
    trained = sum(record.outcome.charged for record in records)
    rows = Table.grid(padding=(0, 2, 0, 0))
    for baseline in baselines:
        value = baseline["value"]
        gain = MISSING if value is None or best.value is None else f"{best.value - value:+.4f}"
        size = f"{count(baseline['num_parameters'])} parameters"
        cost = Text(f"{size}, {plural(baseline['trials'], 'trial')}", style="dim")
        rows.add_row(Text(clean(baseline["name"])), accuracy(value), Text(gain, style="bold"), cost)
    return ["", Text(f"Gain of the best of {plural(trained, 'trial')} above"), rows]


def _facts(study: Study, best: Trial | None, records: Sequence[TrialRecord]) -> list[RenderableType]:
    recipe = study.store.recipe
    facts = {
        "trials": _outcomes(records),
        "memory cap": _cap(study, records),
        "database": redacted(storage_url(recipe.storage, recipe.folder)),
        "weights": place(best.weights if best else None),
    }
    return [line(name, fact) for name, fact in facts.items() if fact]


def _cap(study: Study, records: Sequence[TrialRecord]) -> str | None:
    """Of one trial, and how many proposals it kept out."""
    if study.store.memory_cap is None:
        return None
    unfit = counts_of(records)[Outcome.DOES_NOT_FIT]
    kept_out = f"; {unfit:,} of {plural(len(records), 'proposal')} did not fit" if unfit else ""
    return f"{memory(study.store.memory_cap)} for one trial{kept_out}"


def _next_steps(
    study: Study, best: Trial | None, records: Sequence[TrialRecord], final: Final | None
) -> list[RenderableType]:
    """Commands, and the same in Python."""
    name, asked = study.name, study.store.recipe.trials
    trained = sum(record.outcome.charged for record in records)
    more = ["--trials", str(2 * asked)] if trained >= asked else []
    steps = {
        "look at it": command(study, "show", name, *(["--trial", str(best.number)] if best else [])),
        "train it": None if final or best is None else command(study, "train", name),
        "go on": command(study, "search", "--study", name, *more),
    }
    if best is not None and best.weights:
        arguments = [repr(name), *(f"{option}={value!r}" for option, value in where(study).items())]
        steps["in Python"] = f"nas.load_study({', '.join(arguments)}).best.load_model()"
    return [line(head, step, "cyan") for head, step in steps.items() if step]
