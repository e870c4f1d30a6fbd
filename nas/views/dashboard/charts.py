"""Small charts for our own pages: SVG written by the server, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from markupsafe import Markup

from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.training.epoch import Epoch
from nas.views import format

WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 26


@dataclass(frozen=True)
class Frame:
    """Where values lie on a chart; those under `low` lie on its floor."""

    first: int
    last: int
    low: float
    high: float

    def place(self, number: float, value: float | None) -> tuple[float, float]:
        across = (number - self.first) / max(self.last - self.first, 1)
        up = (max(value or 0.0, self.low) - self.low) / (self.high - self.low)
        return LEFT + (WIDTH - LEFT - RIGHT) * across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up

    def axes(self) -> Markup:
        """Three lines with their values, and the first, the middle and the last number."""
        parts = []
        for step in range(3):
            value = self.low + (self.high - self.low) * step / 2
            _, y = self.place(self.first, value)
            line = Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - RIGHT)
            parts += [line, _label("left", LEFT - 8, y + 4, f"{value:.3f}")]
        for number in sorted({self.first, (self.first + self.last) // 2, self.last}):
            parts.append(_label("", self.place(number, self.low)[0], HEIGHT - 6, str(number)))
        return Markup().join(parts)


def history(records: Sequence[TrialRecord], page: str) -> Markup:
    """Every completed trial as a dot that leads to its page, and the best value so far.

    Args:
        page: address of the study.
    """
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    values = [record.value or 0.0 for record in completed]
    if not values:
        return Markup()
    high = max(values)
    spread = max(high - min(values), 0.002)
    low = high - min(spread, max(4 * (high - median(values)), 0.02))  # else one bad trial flattens the rest
    frame = Frame(0, max(records[-1].number, 1), low, high)
    numbers = [*(record.number for record in completed), frame.last]
    heights = [*accumulate(values, max), high]
    parts = [frame.axes(), _path("line", _stairs(frame, numbers, heights))]
    best = values.index(high)
    for index, (record, value) in enumerate(zip(completed, values, strict=True)):
        x, y = frame.place(record.number, value)
        kind, size = ("top", 5.5) if index == best else ("dot", 3.5)
        words = f"trial {record.number}: {format.accuracy(value)}"
        dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
        link = Markup('<a href="{}/trials/{}">{}</a>')
        parts.append(link.format(page, record.number, dot.format(kind, x, y, size, words)))
    return _svg("chart", f"Validation {records[0].metric_in_words} by trial, and the best so far", parts)


def curve(epochs: Sequence[Epoch], total: int, best: Sequence[Epoch] = (), kind: str = "small") -> Markup:
    """The value over the epochs, before the curve of the best trial.

    Args:
        total: epochs of a trial that is not pruned.
        kind: "small" without axes, which fills what room it has, or "chart".
    """
    values = [epoch.value or 0.0 for epoch in (*epochs, *best)]
    if not values:
        return Markup()
    low, high = min(values), max(values)
    frame = Frame(1, max(total, 2), low if low < high else low - 0.05, high)
    parts = [frame.axes()] if kind == "chart" else []
    for name, them in (("reference", best), ("line", epochs)):
        if them:
            points = [frame.place(epoch.number, epoch.value) for epoch in them]
            parts.append(_path(name, "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)))
    if epochs:
        x, y = frame.place(epochs[-1].number, epochs[-1].value)
        parts.append(_path("end", f"M{x:.1f} {y:.1f}h0"))  # a dot that stays round however it is stretched
    return _svg(kind, "Validation by epoch", parts)


def bar(shares: Iterable[tuple[str, float, str]]) -> Markup:
    """Parts of a whole beside one another.

    Args:
        shares: of each, a class of the style sheet, its share in [0, 1] and what it is.
    """
    parts, words, x = [], [], 0.0
    part = Markup('<rect class="{}" x="{:.2f}" width="{:.2f}" height="10"><title>{}</title></rect>')
    for kind, share, what in shares:
        parts.append(part.format(kind, x, 1000 * share, what))
        words.append(what)
        x += 1000 * share
    head = Markup(
        '<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{}">'
    )
    return head.format("; ".join(words)) + Markup().join(parts) + Markup("</svg>")


def _svg(kind: str, label: str, parts: Iterable[Markup]) -> Markup:
    top, height = (0, HEIGHT) if kind == "chart" else (TOP - 6, HEIGHT - BOTTOM - TOP + 12)
    left, width = (0, WIDTH) if kind == "chart" else (LEFT - 8, WIDTH - LEFT + 8)
    stretch = "xMidYMid" if kind == "chart" else "none"
    head = Markup(
        '<svg class="{}" viewBox="{} {} {} {}" preserveAspectRatio="{}" role="img" aria-label="{}">'
    )
    return (
        head.format(kind, left, top, width, height, stretch, label) + Markup().join(parts) + Markup("</svg>")
    )


def _path(kind: str, course: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(kind, course)


def _label(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)


def _stairs(frame: Frame, numbers: Sequence[int], values: Sequence[float]) -> str:
    (x, y), *rest = [frame.place(number, value) for number, value in zip(numbers, values, strict=True)]
    return f"M{x:.1f} {y:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in rest)
