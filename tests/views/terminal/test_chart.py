import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.views.terminal.chart import WIDEST, Chart, Curve
from tests.views.terminal.samples import HOSTILE


def drawn(*curves, width=80, rows=10, encoding="utf-8", **settings):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, highlight=False, **settings)
    console.print(Chart([Curve(name, values) for name, values in curves], rows), crop=False)
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


def plot(lines):
    """The dots without scale and names."""
    return [line.partition("┤")[2].partition("trial")[0].strip() for line in lines[:-1]]


RISING = ("trial 3", [0.1, 0.5, 0.9])
FALLING = ("trial 12", [0.8, 0.4, 0.2])


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("epochs", [1, 2, 12, 500])
@pytest.mark.parametrize("name", ["trial 3", HOSTILE, "日本語" * 3])
def test_a_chart_fits_its_terminal(width, epochs, name):
    lines = drawn((name, [n / 500 for n in range(epochs)]), FALLING, width=width)
    assert len(lines) == 11
    assert max(cell_len(line) for line in lines) <= min(width, WIDEST)


def test_the_scale_runs_from_the_lowest_to_the_highest_value():
    lines = drawn(RISING)
    assert lines[0].startswith("0.9000┤")
    assert lines[9].startswith("0.1000┤")
    assert lines[10].split() == ["1", "epoch", "3"]


def test_a_rising_curve_rises_without_a_gap():
    dots = plot(drawn(RISING))
    assert all(dots)
    starts = [drawn(RISING)[row].index(dots[row][0]) for row in range(10)]
    assert starts == sorted(starts, reverse=True)


def test_each_curve_is_named_where_it_ends():
    lines = drawn(RISING, FALLING)
    assert lines[0].endswith("trial 3")
    assert lines[8].endswith("trial 12")


def test_names_that_would_meet_stand_side_by_side():
    lines = drawn(*((f"trial {n}", [0.1, 0.9]) for n in range(12)), ("trial 99", [0.0, 0.1]))
    assert sorted(int(line.split()[-1]) for line in lines[:-1]) == [*range(12), 99]


def test_a_short_curve_ends_early():
    widths = [len(line) for line in plot(drawn(("trial 0", [0.9, 0.8]), ("trial 1", [0.1] * 10)))]
    assert 0 < widths[0] < widths[-1] / 2


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_a_flat_curve_lies_in_the_middle(values):
    lines = drawn(("trial 0", values))
    assert [bool(dots) for dots in plot(lines)] == [row == 5 for row in range(10)]
    assert lines[5].startswith("0.5000┤")


def test_a_small_alphabet_gets_stars():
    shown = "\n".join(drawn(RISING, encoding="ascii"))
    assert "*" in shown
    assert "?" not in shown


def test_curves_have_colours_unless_they_are_not_wished_for(monkeypatch):
    colors = {"force_terminal": True, "color_system": "standard"}
    assert "\x1b[36m" in "\n".join(drawn(RISING, **colors))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in "\n".join(drawn(RISING, **colors))
