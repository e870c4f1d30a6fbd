"""Commands to go on with, to be copied as they stand but for a database's password."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from nas.study.database import redacted
from nas.views.format import clean, place

if TYPE_CHECKING:
    from nas.views.shown import Study


def where(study: Study) -> dict[str, str]:
    """The options that find a study from the current folder; none where it lies in the usual one."""
    folder, storage = study.store.folder.parent, study.store.recipe.storage
    options = {} if folder == Path("studies").absolute() else {"folder": place(folder)}
    return options | ({"storage": redacted(storage)} if storage is not None else {})


def command(study: Study, verb: str, *options: str) -> str:
    """`nas VERB` for a study, quoted for the shell."""
    finds = [word for name, value in where(study).items() for word in (f"--{name}", value)]
    return f"nas {verb} {shlex.join([*options, *finds])}"


def line(name: str, text: str, style: str = "", width: int = 12) -> Text:
    """A line that only the terminal itself may wrap, so that it can be copied whole."""
    return Text.assemble((f"{name:<{width}}", "dim"), (clean(text), style), no_wrap=True, overflow="ignore")
