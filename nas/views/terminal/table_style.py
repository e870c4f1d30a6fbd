"""The one look of our tables."""

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Column, Table


def new_table(*columns: Column | str, show_footer: bool = False, expand: bool = False) -> Table:
    """A table without a frame; headings with a line under them."""
    return Table(
        *columns,
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_footer=show_footer,
        expand=expand,
    )


def numbers(heading: RenderableType, total: RenderableType = "") -> Column:
    """A column of numbers, which are never broken."""
    return Column(heading, total, justify="right", no_wrap=True)
