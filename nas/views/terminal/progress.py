"""Progress of decoding a dataset's images."""

from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class DecodeProgress:
    """A bar that appears with the first call and vanishes with the last image; call it with (done, total)."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("Decoding images"),
            BarColumn(complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("")
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int) -> None:
        if done >= total:  # a view of the search may follow, and a terminal holds but one live picture
            self._shown.close()
            return
        if not self._bar.live.is_started:
            self._shown.enter_context(self._bar)
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self._shown.close()
