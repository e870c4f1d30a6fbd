"""A network drawn as SVG: one slab per layer, scaled by the logarithm of its output, wrapped into rows.

It needs nothing but itself: no script, no style sheet, no font. Its ink reads on light and on dark paper;
a page that shows it inline may set other colours with the CSS variables `--nas-ink` and `--nas-faint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nas.machine.texts import dimensions
from nas.network.drawing.blocks import MANY, Block, Shape, Slot, blocks_of, slots_of
from nas.network.drawing.text_size import FONT, printable, shortened, text_width
from nas.network.layers import LayerTable

LINE = 16
GAP = 22
"""Between the texts of two slots, in pixels; the arrow takes it where slabs are as wide as their texts."""

MARGIN = 14
SMALL, LARGE = 14.0, 96.0
"""Edge of the smallest and of the largest image, in pixels."""

THIN, THICK = 7.0, 40.0
"""Slab of a single channel, and of the most channels."""

SLANT = 0.32
"""How far a slab of an image recedes, as part of its height."""

INK = 'fill="#767676" style="fill:var(--nas-ink,#767676)"'
FAINT = 'fill="#767676" style="fill:var(--nas-faint,#767676)"'
STROKE = 'stroke="#767676" style="stroke:var(--nas-faint,#767676)" fill="none"'

COLOURS = {
    "conv": ("#4c9fd4", "#7cbce6", "#2f7fb5"),
    "linear": ("#e08b3e", "#eeb07a", "#bd6c24"),
    "pool": ("#38a88a", "#6fc7af", "#23866c"),
    "attention": ("#bb7fb0", "#d3a6cb", "#9a5f8f"),
    "transformer": ("#bb7fb0", "#d3a6cb", "#9a5f8f"),
    "": ("#9a9a9a", "#b9b9b9", "#7d7d7d"),
}
"""Front, top and side of a slab, by what its kind's name contains; told apart by the colour-blind too."""


def architecture_svg(
    table: LayerTable, input_shape: tuple[int, int, int], title: str = "", width: int = 960
) -> str:
    """The network as an SVG document, which HTML may also hold inline.

    A layer that multiplies nothing and keeps the number of elements, such as a norm or an activation, is
    named under the slab of the layer it follows.

    Args:
        input_shape: (channels, height, width).
        title: one line above the drawing.
        width: pixels after which a row wraps; a single slot that needs more still gets it.
    """
    blocks = [Block("input", input_shape, ("input",), 0), *blocks_of(table.layers)]
    scale = Scale.of(blocks)
    rows = _rows(slots_of(blocks), scale, width - 2 * MARGIN)
    breadth = 2 * MARGIN + max(sum(width_of(slot.block, scale) for slot in row) for row in rows)
    totals = [f"{table.parameters:,} parameters", f"{table.multiply_adds:,} multiply-adds per image"]
    facts = ", ".join(totals)
    parts, y = [], MARGIN + 0.0
    fits = text_width(facts) <= width - 2 * MARGIN
    for text, weight in ((title, "600"), *((line, "400") for line in ([facts] if fits else totals))):
        if text:
            breadth = max(breadth, 2 * MARGIN + min(text_width(text), width - 2 * MARGIN))
            y += LINE
            parts.append(_text(MARGIN, y, shortened(text, breadth - 2 * MARGIN), weight, anchor="start"))
    y += LINE
    for row in rows:
        drawn, tall = _row(row, scale, y, first=row is rows[0], last=row is rows[-1])
        parts += drawn
        y += tall + LINE
    words = ", ".join(block.words for block in blocks[:MANY]) + (", …" if len(blocks) > MANY else "")
    label = escape(printable(f"{title or 'Network'}: {facts}. {words}."))
    across, down = math.ceil(breadth), math.ceil(y)
    size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
    font = (
        f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="{FONT}"'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size} {font}>'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


# Where it goes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """The largest image, channels and vector of a network: everything is drawn in proportion to them."""

    edge: int
    channels: int
    features: int

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Scale:
        images = [_image(block.shape) for block in blocks if len(block.shape) > 1]
        vectors = [block.shape[0] for block in blocks if len(block.shape) == 1]
        channels, edges = zip(*images, strict=True)
        return cls(edge=max(edges), channels=max(channels), features=max(vectors, default=1))

    def box(self, shape: Shape) -> tuple[float, float, float]:
        """(thickness, height, recession) of a slab, in pixels."""
        if len(shape) > 1:
            channels, edge = _image(shape)
            height = SMALL + (LARGE - SMALL) * _part(edge, self.edge)
            return THIN + (THICK - THIN) * _part(channels, self.channels), height, SLANT * height
        features = shape[0] if shape else 1
        return THIN + 2, SMALL + (LARGE - SMALL) * _part(features, self.features), 5.0


def lines_of(block: Block) -> list[tuple[str, str, str]]:
    """(text, weight, ink) of each line under a slab."""
    head, *followers = block.kinds
    more = [*followers[:3], f"and {len(followers) - 3} more"] if len(followers) > 4 else followers
    kinds = [] if block.name == "input" else [head, *more]
    parameters = f"{block.parameters:,} params" if block.parameters else ""
    return [
        (shortened(block.name or head, 150), "600", INK),
        *((shortened(kind, 150), "400", INK) for kind in kinds),
        (dimensions(block.shape), "400", FAINT),
        (parameters, "400", FAINT),
    ]


def width_of(block: Block, scale: Scale) -> float:
    """Pixels of the slot of a block: its slab or its longest text, whichever is wider, and the gap."""
    thickness, _, recession = scale.box(block.shape)
    return max(thickness + recession, *(text_width(text) for text, _, _ in lines_of(block))) + GAP


def _rows(slots: Sequence[Slot], scale: Scale, limit: float) -> list[list[Slot]]:
    """As few rows as the limit allows, of about equal length."""
    widths = [width_of(slot.block, scale) for slot in slots]

    def wrapped(limit: float) -> list[list[Slot]]:
        rows: list[list[Slot]] = [[]]
        used = 0.0
        for slot, width in zip(slots, widths, strict=True):
            if rows[-1] and used + width > limit:
                rows.append([])
                used = 0.0
            rows[-1].append(slot)
            used += width
        return rows

    rows = wrapped(limit)
    while limit > GAP and len(tighter := wrapped(limit - GAP)) == len(rows) > 1:
        rows, limit = tighter, limit - GAP
    return rows


def _row(
    row: Sequence[Slot], scale: Scale, top: float, *, first: bool, last: bool
) -> tuple[list[str], float]:
    """The drawing of one row and its height."""
    boxes = [scale.box(slot.block.shape) for slot in row]
    bracket = 1.6 * LINE if any(slot.times > 1 for slot in row) else 0.0
    room = max(height + recession for _, height, recession in boxes)
    axis = top + bracket + room / 2
    texts = top + bracket + room + LINE + 2
    parts, x = [], float(MARGIN)
    arrow_from: float | None = None if first else float(MARGIN) - 10
    opened: float | None = None
    for slot, (thickness, height, recession) in zip(row, boxes, strict=True):
        width = width_of(slot.block, scale)
        centre = x + (width - GAP) / 2
        left = centre - (thickness + recession) / 2
        if arrow_from is not None:
            parts.append(_arrow(arrow_from + 4, left - 4, axis))
        parts += ["<g>", f"<title>{escape(printable(f'{slot.block.name}: {slot.block.words}'))}</title>"]
        parts += _slab(
            left, axis - (height - recession) / 2, thickness, height, recession, slot.block.kinds[0]
        )
        for number, (text, weight, ink) in enumerate(lines_of(slot.block)):
            if text:
                parts.append(_text(centre, texts + number * LINE, text, weight, ink))
        parts.append("</g>")
        arrow_from = left + thickness + recession
        if slot.times > 1:
            opened = x if opened is None or slot.opens else opened
            if slot.closes or slot is row[-1]:
                parts += _bracket(opened, x + width - GAP, top + LINE, f"{slot.times} times")
                opened = None
        x += width
    if not last and arrow_from is not None:
        parts.append(_arrow(arrow_from + 4, x - GAP + 12, axis))
    height = texts - top + LINE * max(len(lines_of(slot.block)) for slot in row)
    return parts, height


# How it looks ----------------------------------------------------------------------------------------------


def _slab(x: float, y: float, width: float, height: float, recession: float, kind: str) -> list[str]:
    """A box whose front face begins at (x, y) and which recedes to the upper right."""
    front, top, side = next(tones for part, tones in COLOURS.items() if part in kind.lower())
    back, right = f"{recession:.1f} {-recession:.1f}", f"{x + width:.1f}"
    return [
        f'<path d="M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z" fill="{front}"/>',
        f'<path d="M{x:.1f} {y:.1f}l{back}h{width:.1f}L{right} {y:.1f}z" fill="{top}"/>',
        f'<path d="M{right} {y:.1f}l{back}v{height:.1f}L{right} {y + height:.1f}z" fill="{side}"/>',
    ]


def _arrow(start: float, end: float, y: float) -> str:
    head = f"M{end - 4:.1f} {y - 3:.1f}L{end:.1f} {y:.1f}L{end - 4:.1f} {y + 3:.1f}"
    return f'<path d="M{start:.1f} {y:.1f}H{end:.1f}{head}" {STROKE}/>'


def _bracket(left: float, right: float, y: float, text: str) -> list[str]:
    line = f"M{left:.1f} {y + 8:.1f}V{y + 4:.1f}H{right:.1f}V{y + 8:.1f}"
    return [f'<path d="{line}" {STROKE}/>', _text((left + right) / 2, y, text, "600")]


def _text(x: float, y: float, text: str, weight: str, ink: str = INK, anchor: str = "middle") -> str:
    content = escape(printable(text), quote=False)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" {ink}>{content}</text>'
    )


def _image(shape: Shape) -> tuple[int, int]:
    """(channels, edge): a sequence of (tokens, features) is drawn as a square image of so many pixels."""
    return (shape[1], math.isqrt(shape[0])) if len(shape) == 2 else (shape[0], max(shape[1:]))


def _part(size: int, largest: int) -> float:
    """Where `size` lies between 1 and the largest, on a logarithmic scale."""
    return math.log(max(size, 1)) / math.log(largest) if largest > 1 else 1.0
