"""Everything a person sees in the shell. Nothing here imports torch until a network is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from nas.errors import NasError
from nas.events import Event
from nas.views.format import clean
from nas.views.terminal.comparison import comparison_page
from nas.views.terminal.dataset import data_page
from nas.views.terminal.exported import bench_page, export_page
from nas.views.terminal.final import final_page
from nas.views.terminal.inspection import inspection_page, plan_line, versus_page
from nas.views.terminal.live import LiveView
from nas.views.terminal.network import layer_rows
from nas.views.terminal.plain import PlainView
from nas.views.terminal.progress import DecodeProgress
from nas.views.terminal.show import study_page, trial_page
from nas.views.terminal.spaces import parameters_page, spaces_table
from nas.views.terminal.summary import best_trial, one_line, summary_page

if TYPE_CHECKING:
    from nas.datasets import ImageData
    from nas.exporters import Export
    from nas.network.cost import Cost
    from nas.space import Proposal
    from nas.space.load import Space
    from nas.space.parameters import Parameter
    from nas.views.shown import Final, Study, Trial

FALLBACK = 80
"""Columns of a terminal that does not say how wide it is."""

View = Callable[[Event], None]


def choose_view(quiet: bool = False) -> AbstractContextManager[View]:
    """What a search is watched with: a live picture on a terminal, lines elsewhere, nothing if `quiet`."""
    if quiet:
        return nullcontext(lambda event: None)
    console = _console()
    return LiveView(console) if _can_redraw(console) else PlainView(sys.stdout)


def decode_progress(quiet: bool = False) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    console = _console()
    return DecodeProgress(console) if _can_redraw(console) and not quiet else nullcontext()


def print_summary(study: Study, *, quiet: bool = False) -> None:
    """Close a search: the best network, where everything lies, what to do next; one line if `quiet`."""
    trials = study.trials
    if quiet:
        print(one_line(study, trials))  # one line, however long: rich would wrap it
    else:
        best = best_trial(trials)
        _print(summary_page(study, trials, _network(best) if best else ""))


def print_final(study: Study, final: Final) -> None:
    """The final model of a study."""
    _print(final_page(study, final))


def print_idle(study: Study) -> None:
    """Say that nobody searches."""
    _print(Text(clean(f"No search of study {study.name!r} is running."), style="cyan"))


def print_study(study: Study, *, everything: bool = False) -> None:
    """List the trials of a study: the best and the latest of many, or `everything`."""
    _print(study_page(study, _console().width, everything=everything))


def print_trial(trial: Trial) -> None:
    """One trial in full."""
    _print(trial_page(trial, _network(trial)))


def print_comparison(trials: Iterable[Trial]) -> None:
    """Two or more trials side by side."""
    _print(comparison_page([trial.record for trial in trials]))


def print_export(trial: Trial, export: Export) -> None:
    """What was exported, how well it agrees, and how to run it."""
    _print(export_page(trial, export))


def print_bench(
    measured: Mapping[str, Mapping[int, float]], left_out: Mapping[str, str], threads: int, processor: str
) -> None:
    """How fast the formats of an export run."""
    _print(bench_page(measured, left_out, threads, processor))


def print_inspection(title: str, cost: Cost) -> None:
    """What a network costs, and how it trains under a memory cap if one was given."""
    _print(inspection_page(title, cost.inspection, cost.batch_size))
    if cost.plan is not None:
        _print(plan_line(cost.plan))


def print_versus(titles: tuple[str, str], costs: tuple[Cost, Cost]) -> None:
    """Two networks side by side, with what the second saves, and how they train under a memory cap."""
    _print(versus_page(titles, (costs[0].inspection, costs[1].inspection)))
    for title, cost in zip(titles, costs, strict=True):
        if cost.plan is not None:
            _print(Text.assemble(f"{clean(title)}: ", plan_line(cost.plan)))


def print_data(data: ImageData) -> None:
    """A dataset with the counts of its classes."""
    _print(data_page(data))


def print_spaces(summaries: Mapping[str, str]) -> None:
    """List search spaces by their names."""
    _print(spaces_table(summaries))


def print_parameters(
    space: Space, parameters: Iterable[Parameter], starts: Iterable[tuple[Proposal, float | None]]
) -> None:
    """List what a search space asks, and what a study trains first, with multiply-adds."""
    _print(parameters_page(space, parameters, starts))


def _network(trial: Trial) -> RenderableType:
    """The layers of a trial's network, or why they cannot be shown."""
    try:
        return layer_rows(trial.layers())
    except NasError as error:
        return Text(clean(str(error)), style="yellow")


def _console() -> Console:
    """Standard output, which may be of an encoding that lacks some of our characters. Texts are no markup."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    width = FALLBACK if os.environ.get("COLUMNS") == "0" else None
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _can_redraw(console: Console) -> bool:
    """Whether it is a real terminal, not only a pipe where colours are wished for, and has our characters."""
    return sys.stdout.isatty() and console.is_interactive and not console.options.ascii_only


def _print(page: RenderableType) -> None:
    """Lines made to be copied may be longer than the terminal is wide, so nothing is cropped."""
    _console().print(page, crop=False)
