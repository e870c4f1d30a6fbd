"""A study as a list of its trials, and one trial in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.study.outcome import Outcome
from nas.study.records import TrialRecord, best_of, counts_of
from nas.terminal.format import (
    MISSING,
    accuracy,
    clean,
    count,
    duration,
    in_words,
    memory,
    plural,
    real,
    sparkline,
)
from nas.terminal.network import training_in_words
from nas.training.epoch import Epoch

if TYPE_CHECKING:
    from nas.api import Study, Trial

LISTED = 40
"""A longer list shows the better half of so many trials by value, and the latest."""

EPOCHS = 24
"""A longer curve shows about so many rows."""

STYLES = {
    Outcome.COMPLETED: "",
    Outcome.PRUNED: "dim",
    Outcome.FAILED: "red",
    Outcome.INTERRUPTED: "yellow",
    Outcome.RUNNING: "cyan",
    Outcome.WAITING: "dim",
}


def study_page(study: Study) -> Group:
    """The trials of a study, the best one marked by a star."""
    records = [trial.record for trial in study.trials]
    counts = counts_of(records)
    recipe, data = study.store.recipe, study.store.data["info"]
    head = Text.assemble(
        (clean(study.name), "bold"),
        clean(f"  {recipe.space} on {data['name']}, {plural(recipe.epochs, 'epoch')}, {recipe.precision}"),
        ("\n" + (", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number) or "no trial yet"), "dim"),
    )
    listed = listed_trials(records)
    parts: list[RenderableType] = [head, _trials(listed, best_of(records))]
    if len(listed) < len(records):
        parts.append(Text(f"{len(listed)} of {len(records):,} trials: the best and the latest. All of them: nas show --json", style="dim"))
    return Group(*parts)
