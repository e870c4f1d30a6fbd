"""A dataset: its shape, its splits, and the images of every class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from nas.machine.texts import plural
from nas.views.format import clean, shape
from nas.views.terminal.table_style import new_table

if TYPE_CHECKING:
    from nas.datasets import ImageData
    from nas.datasets.look import Look

SPLITS = ("train", "val", "test")


def data_page(data: ImageData, seen: Look) -> Group:
    """Shape, splits and classes with their counts, the imbalance, what was done to the images, and what is
    odd about them."""
    table = new_table(show_footer=True)
    table.add_column("class", Text("total", style="bold"))  # the one that gives way to the others
    for split in SPLITS:
        table.add_column(split, Text(f"{data.counts[split]:,}", style="bold"), justify="right", no_wrap=True)
    for index, name in enumerate(data.classes):
        table.add_row(
            Text(clean(name), no_wrap=True, overflow="ellipsis"),
            *(f"{data.class_counts[split][index]:,}" for split in SPLITS),
        )
    kinds = ", ".join(data.info.augmentations) or "none"
    facts = (
        f"{shape(data.info.shape)}, {data.info.num_classes} classes, {_depth(data)}, augmentations: {kinds}"
    )
    balance = f"The largest training class has {data.imbalance:.2f} times the images of the smallest."
    lines: list[RenderableType] = [
        Text.assemble((clean(data.info.name), "bold"), f"  {facts}"),
        "",
        table,
        "",
        Text(balance if data.imbalance > 1.005 else "All classes have as many training images."),
        *map(Text, _sizes(data, seen)),
        *(Text(clean(f"{note}."), style="cyan") for note in data.notes),
        *(Text(clean(warning), style="yellow") for warning in _warnings(seen)),
    ]
    return Group(*lines)


def data_json(data: ImageData, seen: Look) -> dict[str, Any]:
    """The same as plain values."""
    channels, height, width = data.info.shape
    return {
        "name": data.info.name,
        "channels": channels,
        "height": height,
        "width": width,
        "bits": data.info.bits,
        "classes": list(data.classes),
        "counts": data.counts,
        "class_counts": {split: list(counts) for split, counts in data.class_counts.items()},
        "augmentations": list(data.info.augmentations),
        "fingerprint": data.fingerprint,
        "split_digest": data.split_digest,
        "notes": list(data.notes),
        **seen.to_json(),
    }


def _depth(data: ImageData) -> str:
    """Such as "5 channels of 16 bits"."""
    return f"{plural(data.info.shape[0], 'channel')} of {data.info.bits} bits"


def _sizes(data: ImageData, seen: Look) -> Iterator[str]:
    """Such as "Images come in 3 sizes, from 20x30 to 40x40; 12 are resized to 32x32."; nothing where an older
    nas has decoded them."""
    if not seen.sizes:
        return
    ordered = sorted(seen.sizes, key=lambda size: (size[0] * size[1], size))
    (low, high), (wide, tall) = ordered[0], ordered[-1]
    come = (
        f"in {len(ordered):,} sizes, from {low}x{high} to {wide}x{tall}"
        if len(ordered) > 1
        else f"as {low}x{high}"
    )
    _, height, width = data.info.shape
    done = (
        f"{_count(seen.resized, 'is', 'are')} resized to {width}x{height}"
        if seen.resized
        else "none is resized"
    )
    yield f"Images come {come}; {done}."


def _warnings(seen: Look) -> Iterator[str]:
    for (first, second), count in seen.leaks.items():
        if count:
            pair = next(group for group in seen.copies if {first, second} <= {image.split for image in group})
            one, two = (
                next(image.name for image in pair if image.split == split) for split in (first, second)
            )
            yield (
                f"A leak: {plural(count, f'{second} image')} with the pixels of {first} images, such as {two}"
                f" and {one}. Leave them out of one of the splits."
            )
    for split, count in seen.within.items():
        if count:
            group = next(group for group in seen.copies if sum(image.split == split for image in group) > 1)
            one, two = [image.name for image in group if image.split == split][:2]
            yield f"{_count(count, 'copy', 'copies')} within {split}, such as {two} of {one}."
    if seen.contradictions:
        a, b = next((a, b) for a, *rest in seen.contradictions for b in rest if a.label != b.label)
        yield (
            f"{plural(len(seen.contradictions), 'image')} with several labels, such as {a.name} and {b.name}:"
            " the same pixels in two classes."
        )
    if seen.flat:
        yield f"{plural(len(seen.flat), 'image')} of nearly one colour, such as {seen.flat[0].name}."


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
