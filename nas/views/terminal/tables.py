"""The one look of our tables."""

from rich.box import SIMPLE_HEAD
from rich.table import Table


def new_table(*, show_footer: bool = False, expand: bool = False) -> Table:
    """A table without a frame; headings with a line under them."""
    return Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_footer=show_footer,
        expand=expand,
    )
