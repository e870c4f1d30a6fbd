"""A network drawn: complete, without overlaps at any depth, harmless whatever its layers are called."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from torch import nn

from nas.network.drawing import architecture_svg
from nas.network.layers import Layer, LayerTable, layer_table
from tests.browser import browser, watched_page
from tests.grids import first_of

__all__ = ["browser"]

SVG = "{http://www.w3.org/2000/svg}"


def convolutions(depth: int, equal: bool = False) -> LayerTable:
    """`depth` times convolution, norm and activation, then a classifier."""
    widths = [8] * (depth + 1) if equal else [8 + index for index in range(depth + 1)]
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, padding=1)]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)]
    return layer_table(nn.Sequential(*layers), (3, 32, 32))


def named(name: str, kind: str = "Conv2d") -> LayerTable:
    return LayerTable((Layer(name, kind, (16, 32, 32), 448, 1000),), 448, 1000)


def tokens() -> LayerTable:
    encoder = nn.TransformerEncoderLayer(64, 4, batch_first=True)
    return layer_table(nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.Flatten(2), encoder), (3, 32, 32))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_drawing_names_every_layer_with_its_kind_shape_and_parameters() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(14400, 10)
    )
    drawn = texts(architecture_svg(layer_table(model, (3, 32, 32)), (3, 32, 32), "The best one"))
    assert drawn == [
        *["The best one", "144,490 parameters, 532,800 multiply-adds per image", "input", "3×32×32"],
        *["0", "Conv2d", "BatchNorm2d", "ReLU", "Flatten", "16×30×30", "480 params"],
        *["4", "Linear", "10", "144,010 params"],
    ]


def test_a_short_network_is_drawn_layer_by_layer() -> None:
    drawn = texts(architecture_svg(convolutions(5, equal=True), (3, 32, 32)))
    assert drawn.count("Conv2d") == 6
    assert not any("times" in text for text in drawn)


def test_a_long_network_shows_its_repeated_part_once() -> None:
    drawn = texts(architecture_svg(convolutions(60, equal=True), (3, 32, 32)))
    assert drawn.count("Conv2d") == 2
    assert "60 times" in drawn


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "a & b", '" onload="alert(1)', "\x1b[2J\x00\udcff", "名前" * 200, ""],
)
def test_a_hostile_name_stays_text(hostile: str) -> None:
    drawn = ElementTree.fromstring(architecture_svg(named(hostile, hostile or "x"), (3, 32, 32), hostile))
    assert {element.tag.removeprefix(SVG) for element in drawn.iter()} == {
        "svg",
        "g",
        "title",
        "text",
        "path",
    }
    assert not any(name.startswith("on") for element in drawn.iter() for name in element.attrib)


def test_a_drawing_asks_for_nothing_outside_itself() -> None:
    drawn = architecture_svg(convolutions(3), (3, 32, 32))
    assert drawn.count("http") == drawn.count('xmlns="http://www.w3.org/2000/svg"') == 1
    assert "<style" not in drawn


OVERLAPS = """() => {
    const boxes = [...document.querySelectorAll("text, g > path")].map(e => [e, e.getBoundingClientRect()]);
    const paper = document.querySelector("svg").getBoundingClientRect();
    const inside = b => b.left >= paper.left && b.right <= paper.right && b.bottom <= paper.bottom;
    const found = boxes.filter(([e, b]) => !inside(b)).map(([e]) => "outside: " + e.textContent);
    for (const [i, [e, a]] of boxes.entries())
        for (const [f, b] of boxes.slice(i + 1)) {
            if (e.parentNode === f.parentNode && e.tagName === "path" && f.tagName === "path") continue;
            const beside = a.right <= b.left || b.right <= a.left;
            const level = a.bottom > b.top + 1 && b.bottom > a.top + 1;
            if (!beside && level) found.push(e.textContent + " over " + f.textContent);
        }
    return found;
}"""


TABLES: dict[str, Callable[[], LayerTable]] = {
    "20 convolutions": lambda: convolutions(20),
    "long names": lambda: named("W" * 300, "M" * 300),
    "no convolution": lambda: convolutions(0),
    "3 convolutions": lambda: convolutions(3),
    "100 convolutions": lambda: convolutions(100),
    "100 equal convolutions": lambda: convolutions(100, equal=True),
    "transformer": tokens,
    "wide letters": lambda: named("名前" * 100),
}


@pytest.mark.parametrize("width", first_of(1, [320, 960]))
@pytest.mark.parametrize("table", first_of(2, TABLES.values()), ids=TABLES)
def test_nothing_overlaps_at_any_depth(browser: Any, table: Callable[[], LayerTable], width: int) -> None:
    with watched_page(browser) as watched:
        watched.page.set_content(
            architecture_svg(table(), (3, 32, 32), "A title that is long " * 9, width=width)
        )
        assert watched.page.evaluate(OVERLAPS) == []
