"""Texts of a drawing: what they hold, and how much room they take."""

import unicodedata

FONT = 12
"""Pixels."""


def printable(text: str) -> str:
    """Without what XML does not allow, such as control characters."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def text_width(text: str) -> float:
    """Pixels that a text may take at most, whichever common font it is set in, bold included."""
    return sum(_letter_width(letter) for letter in text) * FONT


def _letter_width(letter: str) -> float:
    """In parts of the font's size, after the widest of common fonts."""
    if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0x2FFF:
        return 1.1
    if letter in " .,:;'|!ijlIft()[]{}-":
        return 0.46
    return 1.02 if letter in "mwMW@%—" else 0.76 if letter.isupper() else 0.7


def shortened(text: str, width: float) -> str:
    """A text that fits, its middle left out if need be."""
    if text_width(text) <= width:
        return text
    half = len(text) // 2
    while half and text_width(f"{text[:half]}…{text[-half:]}") > width:
        half -= 1
    return f"{text[:half]}…{text[-half:]}" if half else "…"
