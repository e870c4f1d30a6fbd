"""One picture of a running search: never wider than its console, never higher than asked."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.events import SearchStarted
from nas.study.outcome import Outcome
from nas.terminal.format import MISSING, accuracy, clean, count, duration, plural, shape, space
from nas.terminal.state import Message, RunningTrial, SearchState

FIXED_ROWS = 8
"""Rows of a frame beside those of its workers."""

STYLES = {"notice": "cyan", "failure": "red"}


def frame(state: SearchState, now: float, height: int, *, ended: bool = False) -> Group:
    """Header, progress, best trial, and a row for each worker as far as `height` rows allow.

    Args:
        now: on the clock of `state`.
        ended: the search is over, and its workers are gone.
    """
    parts: list[RenderableType] = ["", *_header(state), "", _progress(state), _figures(state, now, ended)]
    room = height - FIXED_ROWS
    if not ended and room > 0:
        parts += ["", _workers(state, room)]
    return Group(*parts)


def message_lines(messages: Iterable[Message]) -> list[Text]:
    """Notices and reasons of failures, in full."""
    return [Text(clean(message.text), style=STYLES[message.kind]) for message in messages]


def data_facts(start: SearchStarted) -> list[str]:
    """The search space and the dataset with its shape and counts."""
    info = start.data["info"]
    return [
        f"{space(start.recipe.space)} on {info['name']}",
        shape(info["shape"]),
        f"{info['num_classes']} classes",
        f"{info['num_train']:,} training + {info['num_val']:,} validation",
    ]


def _header(state: SearchState) -> list[RenderableType]:
    start = state.start
    device = next(iter(state.devices.values()), start.device)
    run = clean(f"{device} · {plural(start.workers, 'worker')} · {start.recipe.precision}")
    return [
        _line((clean(start.study), "bold"), f"  {run}"),
        _line((clean(" · ".join(data_facts(start))), "dim")),
    ]


def _progress(state: SearchState) -> Table:
    pruned, failed = state.counts[Outcome.PRUNED], state.counts[Outcome.FAILED]
    row = Table.grid("", "", "", "", padding=(0, 2, 0, 0), expand=True)
    row.columns[0].ratio = 1
    row.add_row(
        _bar(state.charged, state.total),
        _line(f"{state.charged} of {plural(state.total, 'trial')}"),
        _line((f"{pruned} pruned", "dim")),
        _line((f"{failed} failed", "red" if failed else "dim")),
    )
    return row


def _figures(state: SearchState, now: float, ended: bool) -> Text:
    best, where = MISSING, ""
    if state.best is not None:
        best, where = accuracy(state.best[1]), f" (trial {state.best[0]})"
    figures = [("best", best, "bold green", where), ("elapsed", duration(state.elapsed(now)), "", "")]
    if not ended:
        left = state.time_left(now)
        figures.append(("left", MISSING if left is None else f"about {duration(left)}", "", ""))
        figures.append(("images/s", count(state.images_per_second), "", ""))
    line = _line()
    for name, figure, style, addition in figures:
        line.append(f"{name} ", "dim").append(figure, style).append(f"{addition}   ", "dim")
    line.rstrip()
    return line


def _workers(state: SearchState, room: int) -> Table:
    """A row for each worker, so that rows keep their place; the last one tells how many have none."""
    workers, epochs = state.start.workers, state.start.recipe.epochs
    shown = workers if workers <= room else room - 1
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in range(6):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    headings = ("worker", "trial", Text("epoch", justify="left"), "", "val acc", "images/s", "architecture")
    table.add_row(*headings, style="dim")
    busy = {trial.worker: trial for trial in state.running.values()}
    for worker in range(shown):
        if worker in busy:
            table.add_row(str(worker), *_trial(busy[worker], epochs))
        else:
            doing = "idle" if worker in state.devices else "starting"
            table.add_row(str(worker), *[""] * 5, doing, style="dim")
    if shown < workers:
        table.add_row(*[""] * 6, f"and {plural(workers - shown, 'more worker')}", style="dim")
    return table


def _trial(trial: RunningTrial, epochs: int) -> list[RenderableType]:
    epoch = trial.epoch
    done = epoch.number if epoch else 0
    repeats = f"repeats trial {trial.retry_of}: " if trial.retry_of is not None else ""
    return [
        str(trial.number),
        _bar(done, epochs, width=10),
        f"{done:{len(str(epochs))}}/{epochs}",
        accuracy(epoch.val_accuracy if epoch else None),
        count(epoch.images_per_second if epoch else None),
        Text(repeats + clean(trial.network)),
    ]


def _bar(done: int, total: int, width: int | None = None) -> ProgressBar:
    return ProgressBar(total, min(done, total), width, complete_style="cyan", finished_style="green")


def _line(*parts: tuple[str, str] | str) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
