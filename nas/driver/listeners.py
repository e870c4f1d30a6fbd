"""Who is told of a search besides the one who watches it: loggers, by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from nas.errors import text_of
from nas.events import Event, Notice
from nas.machine import plugins
from nas.recipe import LOGGERS

Watch = Callable[[Event], None]


def told_to(loggers: Iterable[str], folder: Path, watch: Watch) -> Watch:
    """Tells `watch` and each logger; one that fails is left out from then on, with a notice.

    Raises:
        NasError: there is no such logger, or a package is missing that it needs.
    """
    logs = {name: plugins.load("logger", name, *LOGGERS).make(folder) for name in loggers}

    def tell(event: Event) -> None:
        watch(event)
        for name, log in list(logs.items()):
            try:
                log(event)
            except Exception as error:  # of somebody's code, or of a full disk: a search is worth more
                del logs[name]
                tell(Notice(text=f"The logger {name} is left out from here on: {text_of(error)}"))

    return tell
