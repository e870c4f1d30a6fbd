"""Numbers and texts as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.machine.texts import MISSING as MISSING
from nas.machine.texts import accuracy as accuracy
from nas.machine.texts import clean as clean
from nas.machine.texts import dimensions
from nas.machine.texts import plural as plural
from nas.metrics.base import ACCURACY, metric_title
from nas.space import in_words as space_words

if TYPE_CHECKING:
    from nas.network.layers import Layer

BARS = "▁▂▃▄▅▆▇█"


def scored(value: float | None, metric: str) -> str:
    """A value with the name of what it is, unless that is accuracy: macro F1 0.9812."""
    return accuracy(value) if metric == ACCURACY else f"{metric_title(metric)} {accuracy(value)}"


def real(value: float | None) -> str:
    """Three significant digits, such as a loss or a learning rate: 0.00123, 1.5e-05."""
    return MISSING if value is None else f"{value:.3g}"


def count(number: float | None) -> str:
    """Three significant digits of a number of anything: 999, 12.3k, 1.41M."""
    if number is None:
        return MISSING
    power = 0
    while number >= 999.5:
        number /= 1000
        power += 1
    decimals = 0 if power == 0 or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{decimals}f}{('', *'kMGTPE')[power]}"


def memory(size: int | None) -> str:
    """Bytes as KiB, MiB or GiB."""
    if size is None:
        return MISSING
    if size < 2**20:
        return f"{size / 2**10:.0f} KiB"
    mebibytes = size / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1023.5 else f"{mebibytes / 1024:.1f} GiB"


def percent(part: float) -> str:
    """Of a part in [0, 1] that is not over yet, at most 99 %."""
    return f"{min(99, round(100 * part))} %"


def amount(value: float | None, unit: str) -> str:
    """Of an objective: bytes, a number of anything, or 1.25 ms."""
    if value is None or not unit:
        return count(value)
    return memory(int(value)) if unit == "bytes" else f"{real(value)} {unit}"


def duration(seconds: float | None) -> str:
    """0:07, 12:34 or 1h 02m."""
    if seconds is None:
        return MISSING
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"


def shape(sizes: Sequence[int]) -> str:
    """3×32×32."""
    return dimensions(sizes) or MISSING


def layer_cells(layers: Iterable[Layer]) -> Iterator[tuple[str, ...]]:
    """Of each layer its name, kind, output shape, parameters and multiply-adds; the last two empty for 0."""
    for layer in layers:
        numbers = (f"{number:,}" if number else "" for number in (layer.parameters, layer.multiply_adds))
        yield clean(layer.name), clean(layer.kind), shape(layer.output_shape), *numbers


def space(source: str) -> str:
    """A search space by its short name, whether it is a known one or the path of a file."""
    return Path(source).name.removesuffix(".py")


def place(path: Path | None) -> str:
    """A path as seen from the current folder, if it lies within."""
    if path is None:
        return "none"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def counts(numbers: Mapping[str, int]) -> str:
    """Trials by outcome: 20 completed, 9 pruned, 3 did not fit."""
    words = {"does_not_fit": "did not fit"}
    told = [f"{number:,} {words.get(name, name)}" for name, number in numbers.items() if number]
    return ", ".join(told) or "none"


def sparkline(values: Sequence[float], width: int | None = None) -> str:
    """One bar for each value, from the lowest to the highest; of more than `width`, the last of each of as
    many groups."""
    if width is not None and len(values) > width:
        values = [values[len(values) * (column + 1) // width - 1] for column in range(width)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def value(setting: object) -> str:
    """One setting: 0.00123, 32-64-128, yes."""
    match setting:
        case None | "" | [] | ():
            return MISSING
        case bool():
            return "yes" if setting else "no"
        case float():
            return real(setting)
        case [*values]:
            return "-".join(value(each) for each in values)
        case {}:
            return in_words(setting)
    return clean(str(setting))


def in_words(description: Mapping[str, Any]) -> str:
    """A stored description, such as that of an architecture, on one line."""
    return clean(space_words(description))
