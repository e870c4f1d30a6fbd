"""What decoded images were: their names, and the sizes that they had. A search needs none of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from nas.datasets.source import SPLITS

if TYPE_CHECKING:  # Pillow comes with it
    from nas.datasets.decoding import Decoded

SIZES = "sizes.json"

Size = tuple[int, int]


def keep_origin(folder: Path, names: Sequence[str], decoded: Decoded) -> None:
    """Write it beside the decoded images; the names of test images into a file of their own."""
    for split, name in enumerate(SPLITS):
        chosen = list(compress(names, decoded.splits == split))
        (folder / f"{name}_names.json").write_text(json.dumps(chosen), encoding="utf-8")
    sizes = [[*size, count] for size, count in sorted(decoded.sizes.items())]
    (folder / SIZES).write_text(json.dumps(sizes), encoding="utf-8")


def names_of(folder: Path, split: str, count: int) -> list[str]:
    """What the images of a split were called; their numbers where an older nas has decoded them."""
    try:
        names: list[str] = json.loads((folder / f"{split}_names.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [f"{split} image {number}" for number in range(count)]
    return names


def sizes_of(folder: Path) -> dict[Size, int]:
    """How many images came in each (width, height); nothing where an older nas has decoded them."""
    try:
        sizes = json.loads((folder / SIZES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {(width, height): count for width, height, count in sizes}
