"""Everything a person sees in the shell: a module for each page, shown here. Torch comes with a network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, RenderableType

from nas.events import Event
from nas.views.terminal.live import LiveView
from nas.views.terminal.plain import PlainView
from nas.views.terminal.progress import DecodeProgress

FALLBACK = 80
"""Columns of a terminal that does not say how wide it is."""

View = Callable[[Event], None]


def choose_view(quiet: bool = False) -> AbstractContextManager[View]:
    """What a search is watched with: a live picture on a terminal, lines elsewhere, nothing if `quiet`."""
    if quiet:
        return nullcontext(lambda event: None)
    screen = console()
    return LiveView(screen) if _can_redraw(screen) else PlainView(sys.stdout)


def decode_progress(quiet: bool = False) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    screen = console()
    return DecodeProgress(screen) if _can_redraw(screen) and not quiet else nullcontext()


def show(page: RenderableType) -> None:
    """Lines made to be copied may be longer than the terminal is wide, so nothing is cropped."""
    console().print(page, crop=False)


def console() -> Console:
    """Standard output, which may be of an encoding that lacks some of our characters. Texts are no markup."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    width = FALLBACK if os.environ.get("COLUMNS") == "0" else None
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _can_redraw(screen: Console) -> bool:
    """Whether it is a real terminal, not only a pipe where colours are wished for, and has our characters."""
    return sys.stdout.isatty() and screen.is_interactive and not screen.options.ascii_only
