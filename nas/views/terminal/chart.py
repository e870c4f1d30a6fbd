"""Learning curves drawn in braille: eight dots to a character, so that a few rows tell a whole training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from nas.views.format import accuracy, clean

COLORS = ("cyan", "magenta", "yellow", "green", "blue", "red")
"""Of the first curve, the second …, and again from the first."""

WIDEST = 100
"""Columns of a chart; a wider terminal makes no clearer one."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column of the dot."""

BRAILLE = 0x2800


@dataclass(frozen=True)
class Curve:
    """A line of a chart."""

    label: str
    """Stands where the curve ends."""
    values: Sequence[float]
    """One for each epoch from the first, at least one."""


@dataclass
class _Cell:
    """One character."""

    bits: int = 0
    color: str = ""


class Chart:
    """Curves over the same epochs, each named at its end; the first lies on top of the others."""

    def __init__(self, curves: Sequence[Curve], rows: int = 10) -> None:
        assert curves
        self._curves = curves
        self._rows = max(rows, len(curves))
        values = [value for curve in curves for value in curve.values]
        self._low, self._high = min(values), max(values)
        self._epochs = max(len(curve.values) for curve in curves)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        labels = self._labels()
        for text in labels.values():
            text.truncate(width // 3, overflow="ellipsis")
        beside = len(accuracy(0.0)) + 2 + max(text.cell_len for text in labels.values())
        columns = max(8, width - beside)
        grid = [[_Cell() for _ in range(columns)] for _ in range(self._rows)]
        for index in reversed(range(len(self._curves))):
            self._draw(grid, self._curves[index].values, COLORS[index % len(COLORS)])
        ascii_only = options.ascii_only
        for row, cells in enumerate(grid):
            yield Text.assemble(
                (self._scale(row), "dim"),
                ("|" if ascii_only else "┤", "dim"),
                *((_character(cell, ascii_only), cell.color) for cell in cells),
                " ",
                labels.get(row, ""),
                no_wrap=True,
                overflow="crop",
            )
        last = f"epoch {self._epochs}"
        margin = " " * len(accuracy(0.0))
        ruler = f"{margin} 1{last:>{columns - 1}}"
        yield Text(ruler, style="dim", no_wrap=True, overflow="crop")

    def _scale(self, row: int) -> str:
        """What stands before a row: the highest value, one in the middle, and the lowest."""
        middle = self._rows // 2
        marked = {0: self._high, self._rows - 1: self._low} if self._low < self._high else {}
        marked[middle] = self._high + (self._low - self._high) * middle / (self._rows - 1)
        return accuracy(marked[row]) if row in marked else " " * len(accuracy(0.0))

    def _draw(self, grid: list[list[_Cell]], values: Sequence[float], color: str) -> None:
        for column, top, bottom in self._strokes(values, 2 * len(grid[0]), 4 * len(grid)):
            for height in range(top, bottom + 1):
                cell = grid[height // 4][column // 2]
                cell.bits |= DOTS[height % 4][column % 2]
                cell.color = color

    def _strokes(self, values: Sequence[float], columns: int, heights: int) -> Iterator[tuple[int, int, int]]:
        """(column, top, bottom) of the dots in each column, which together make one line."""
        last = round((len(values) - 1) / max(1, self._epochs - 1) * (columns - 1))
        before: int | None = None
        for column in range(last + 1):
            place = column / max(1, last) * (len(values) - 1)
            left = min(int(place), max(0, len(values) - 2))
            right = min(left + 1, len(values) - 1)
            value = values[left] + (values[right] - values[left]) * (place - left)
            dot = self._dot(value, heights)
            start = dot if before is None else before
            yield column, min(dot, start), max(dot, start)
            before = dot

    def _dot(self, value: float, heights: int) -> int:
        """How far below the top a value lies, in dots."""
        extent = self._high - self._low
        return round((self._high - value) / extent * (heights - 1)) if extent else heights // 2

    def _labels(self) -> dict[int, Text]:
        """By row, the names of the curves where they end, or as near as there is room."""
        labels: dict[int, Text] = {}
        free = set(range(self._rows))
        for index, curve in enumerate(self._curves):
            end = self._dot(curve.values[-1], 4 * self._rows) // 4
            row = min(free, key=lambda place: (abs(place - end), place))
            free.remove(row)
            labels[row] = Text(clean(curve.label), style=COLORS[index % len(COLORS)])
        return labels


def _character(cell: _Cell, ascii_only: bool) -> str:
    if not cell.bits:
        return " "
    return "*" if ascii_only else chr(BRAILLE + cell.bits)
