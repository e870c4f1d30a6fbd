"""The rules by which a folder is listed and its images are decoded, numbered.

Better rules may leave out a file that older ones read, or read one that those refused: other images, so
another fingerprint. A study keeps the number that it began with and goes on under it; everything else goes by
the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST = 1
"""The rules of studies that keep no number."""

NEWEST = 2
"""Raise it when a folder that was read gives other images, or other splits; what older studies got stays."""


def rules_of(facts: Mapping[str, Any]) -> int:
    """The rules of a study, by what it keeps of its dataset."""
    rules: int = facts.get("rules", FIRST)
    return rules
