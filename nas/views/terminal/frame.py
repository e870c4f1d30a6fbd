"""One picture of a running search: never wider than its console, never higher than asked."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.events import SearchStarted
from nas.metrics.base import metric_short
from nas.study.outcome import Outcome
from nas.views import format
from nas.views.format import MISSING, accuracy, clean, count, duration, memory, plural, scored
from nas.views.terminal.state import UNCHARGED, UNKNOWN, Message, RunningTrial, SearchState

FIXED_ROWS = 9
"""Rows of a frame beside those of its devices, workers and reasons."""

NARROW, WIDE = 70, 100
"""Columns from which on a worker's row has room for its time left and speed, and for its progress bar, memory
and plan."""

STYLES = {"notice": "cyan", "failure": "red"}


def frame(state: SearchState, now: float, width: int, height: int, *, ended: bool = False) -> Group:
    """Header, progress, best trial and memory; then workers and reasons, as far as `height` rows allow.

    Args:
        now: on the clock of `state`.
        width: columns of the console.
        ended: the search is over, and its workers are gone.
    """
    parts: list[RenderableType] = [
        "",
        *_header(state),
        "",
        _progress(state),
        *_figures(state, now, width, ended),
    ]
    reasons = _reasons(state)
    room = height - FIXED_ROWS
    if ended or room <= 0:
        reasons = reasons[: max(0, room)]
    else:
        devices = list(state.reserved.items())[: room // 2]
        room -= len(devices)
        reasons = reasons[: max(room // 5, room - state.start.workers - 1)]
        room -= len(reasons) + bool(reasons)
        if devices:
            parts.append(_memory(state, devices, width))
        parts += ["", _workers(state, now, width, room)]
    if reasons:
        parts += ["", *reasons]
    return Group(*parts[:height])


def message_lines(messages: Iterable[Message]) -> list[Text]:
    """Notices and reasons of failures, in full."""
    return [Text(clean(message.text), style=STYLES[message.kind]) for message in messages]


def data_facts(start: SearchStarted) -> list[str]:
    """The search space and the dataset with its shape and counts."""
    info = start.data["info"]
    return [
        f"{format.space(start.recipe.space)} on {info['name']}",
        format.shape(info["shape"]),
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


def _figures(state: SearchState, now: float, width: int, ended: bool) -> list[Text]:
    """The best value with the way to it, and the times."""
    best = _line(("best ", "dim"), (scored(state.best and state.best[1], state.metric), "bold green"))
    if state.best is not None:
        best.append(f" (trial {state.best[0]})", "dim")
    if len(state.curve) > 1:
        origin = f" from {accuracy(state.curve[0])}"
        room = width - best.cell_len - 2 - len(origin)
        best.append("  ").append(format.sparkline(state.curve, max(1, room)), "cyan").append(origin, "dim")
    figures = {"elapsed": duration(state.elapsed(now))}
    if not ended:
        left = state.time_left(now)
        figures["left"] = MISSING if left is None else f"about {duration(left)}"
        figures["images/s"] = count(state.images_per_second)
    times = _line()
    for name, figure in figures.items():
        times.append(f"{name} ", "dim").append(f"{figure}   ")
    times.rstrip()
    return [best, times]


def _memory(state: SearchState, devices: list[tuple[str, int]], width: int) -> Table:
    """What the running trials of each device have reserved, of its budget."""
    cap = state.start.memory_cap if width >= NARROW else None
    rows = Table.grid(padding=(0, 2, 0, 0), expand=True)
    rows.add_column(max_width=width // 3)
    rows.add_column(ratio=1)
    rows.add_column(no_wrap=True)
    for device, used in devices:
        budget = state.start.budgets.get(device)
        of_budget = f"{memory(used)} of {memory(budget)}" if budget else f"{memory(used)} reserved"
        rows.add_row(
            _line(("memory ", "dim"), clean(device)),
            _bar(used, budget) if budget else "",
            _line(of_budget, (f"  cap {memory(cap)}" if cap else "", "dim")),
        )
    return rows


def _workers(state: SearchState, now: float, width: int, room: int) -> Table:
    """A row for each worker, so that rows keep their place; the last one tells how many have none."""
    workers, epochs = state.start.workers, state.start.recipe.epochs
    shown = workers if workers <= room else room - 1
    score = f"val {metric_short(state.metric)}"
    with_memory = any(trial.begun.reservation is not None for trial in state.running.values())
    headings = _headings(score, width, with_memory)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for heading in headings:
        table.add_column(justify="left" if heading in ("epoch", "plan") else "right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row(*headings, "architecture", style="dim")
    busy = {trial.begun.worker: trial for trial in state.running.values()}
    blank = [""] * (len(headings) - 1)
    for worker in range(shown):
        if worker in busy:
            cells = _cells(busy[worker], score, epochs, width, now)
            table.add_row(*(cells[heading] for heading in headings), _network(busy[worker]))
        else:
            doing = "idle" if worker in state.devices else "starting"
            table.add_row(str(worker), *blank, doing, style="dim")
    if shown < workers:
        table.add_row("", *blank, f"and {plural(workers - shown, 'more worker')}", style="dim")
    return table


def _headings(score: str, width: int, with_memory: bool) -> list[str]:
    headings = ["worker", "trial", "epoch", score]
    if width >= NARROW:
        headings = ["worker", "trial", "epoch", "left", score, "images/s"]
    if width >= WIDE and with_memory:
        headings += ["memory", "plan"]
    return headings


def _cells(trial: RunningTrial, score: str, epochs: int, width: int, now: float) -> dict[str, RenderableType]:
    epoch = trial.epoch
    done, part = trial.trained, trial.part
    progress = Table.grid(padding=(0, 2, 0, 0))
    bar = [_bar(done + (part or 0.0), epochs, width=10)] if width >= WIDE else []
    inside = "" if part is None else f" +{format.percent(part)}"
    progress.add_row(*bar, f"{done:{len(str(epochs))}}/{epochs}{inside}")
    return {
        "worker": str(trial.begun.worker),
        "trial": MISSING if trial.baseline else str(trial.begun.number),
        "epoch": progress,
        "left": duration(trial.left(epochs, now)),
        score: accuracy(epoch.value if epoch else None),
        "images/s": count(epoch.images_per_second if epoch else None),
        "memory": memory(trial.begun.reservation),
        "plan": Text(clean(trial.begun.plan or "")),
    }


def _network(trial: RunningTrial) -> Text:
    begun = trial.begun
    what = f"repeats trial {begun.retry_of}: " if begun.retry_of is not None else ""
    if trial.baseline:
        what = f"baseline {clean(trial.baseline)}: "
    return Text(what + clean(begun.network))


def _reasons(state: SearchState) -> list[Text]:
    """How many proposals were not trained; then why the last trials were stopped or do not fit."""
    untrained = {outcome.value: state.counts[outcome] for outcome in UNCHARGED}
    lines = [_line((f"not charged  {format.counts(untrained)}", "dim"))] if any(untrained.values()) else []
    for ended in reversed(state.reasons):
        head = f"trial {ended.number} {ended.outcome.in_words}: "
        lines.append(_line((head, "dim"), clean(ended.reason or UNKNOWN)))
    return lines


def _bar(done: float, total: int, width: int | None = None) -> ProgressBar:
    return ProgressBar(total, min(done, total), width, complete_style="cyan", finished_style="green")


def _line(*parts: tuple[str, str] | str) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
