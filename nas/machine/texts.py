"""Texts made fit for where they go, a terminal, a database, a spreadsheet, Markdown; and numbers in them."""

import math
import re
from collections.abc import Iterable, Sequence

MISSING = "–"
"""Stands where there is no value."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet computes instead of showing it."""


def clean(text: str) -> str:
    """One line that cannot disturb a terminal: whatever is not printable is written as its escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def accuracy(value: float | None) -> str:
    """Of 0.98123: 0.9812. Nothing was measured where it is not a number."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4f}"


def plural(number: int, noun: str) -> str:
    """1 trial, 2 trials, 54,000 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def milliseconds(seconds: float) -> str:
    """Of 0.0123: 12.3."""
    return f"{1000 * seconds:.3g}"


def dimensions(shape: Iterable[int]) -> str:
    """3×32×32."""
    return "×".join(map(str, shape))


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table of GitHub's Markdown, whose last `numbers` columns hold numbers."""
    rules = ["---"] * (len(heads) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def storable(text: str) -> str:
    """What every database takes: a NUL, and half of a surrogate pair, are written as their escapes."""
    if text.isascii():
        return text.replace("\0", r"\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", r"\x00")


def cell(text: str) -> str:
    """What a spreadsheet shows as it stands: a quote goes before what looks like a formula and is no number.

    OWASP, CSV Injection.
    """
    formula = text.startswith(FORMULA) and NUMBER.fullmatch(text) is None
    return f"'{text}" if formula else text
