"""Texts made fit for where they go: a terminal, a database, a spreadsheet, Markdown."""

import re
from collections.abc import Iterable, Sequence

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet computes instead of showing it."""


def clean(text: str) -> str:
    """One line that cannot disturb a terminal: whatever is not printable is written as its escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


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
