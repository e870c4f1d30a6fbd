"""Networks as pictures: `architecture_svg` draws a layer table."""

from nas.network.drawing.svg import architecture_svg

__all__ = ["architecture_svg"]
