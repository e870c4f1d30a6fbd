"""The app that commands are added to, and what they share."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from nas.machine.texts import clean
from nas.recipe import Depth

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find the best image classifier for your data.",
    epilog="Start with: nas search --space cnn_fc",
)

Storage = Annotated[
    str | None,
    typer.Option(envvar="NAS_STORAGE", help="Database URL.", show_default="sqlite:///<folder>/nas.db"),
]
Folder = Annotated[Path, typer.Option(help="Where results lie.")]
StudyName = Annotated[str | None, typer.Argument(help="Name of the study.", show_default="the latest")]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        help="File of its search space, if it has moved or you have not run it.", show_default=False
    ),
]
DataDepth = Annotated[
    Depth,
    typer.Option(
        "--depth", help="8bit; or native: 16 bits and any number of channels are kept.", metavar="NAME"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples(*lines: str) -> str:
    """An epilog that shows commands."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)


def fail(message: str, code: int) -> NoReturn:
    """Print one line and exit."""
    print(clean(f"nas: {message}"), file=sys.stderr)
    sys.exit(code)
